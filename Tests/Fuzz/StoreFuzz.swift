import ApusJSON
import ApusStore

/// Reads the bytes as an index, as a manifest and as a page of a listing. Whatever they are, no name comes of
/// them that could lead out of a folder.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = UnsafeRawBufferPointer(start: data, count: size)
  do throws(JSONError) { check(try StoreIndex.read(bytes)) } catch {}
  do throws(JSONError) { check(try StoreIndex.readManifest(bytes)) } catch {}
  do throws(StoreError) {
    var models = ListedModels()
    for entry in try ListingPage(bytes).entries {
      models.add(key: entry.key[...], byteCount: entry.byteCount, tag: entry.tag)
    }
    check(models.catalog)
  } catch {}
  return 0
}

private func check(_ catalog: StoreCatalog) {
  for model in catalog.models {
    precondition(StoreNames.isModelName(model.name), "a model's name that leads elsewhere")
    for version in model.versions {
      precondition(version.number > 0, "a version that is no positive number")
      check(version.files)
      _ = version.record
    }
  }
}

private func check(_ files: [StoreFile]) {
  precondition(files.count <= 64, "too many files")
  for file in files { precondition(StoreNames.isFileName(file.name) && file.byteCount >= 0, "a bad file") }
}
