import Foundation

/// A folder with one model of one layer, whose weights are 0.
func oneLayerRepository(_ name: String, inputs: Int, outputs: Int) throws -> String {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "apus-\(UUID().uuidString.prefix(8))")
  let version = folder.appendingPathComponent("\(name)/1")
  try FileManager.default.createDirectory(at: version, withIntermediateDirectories: true)
  let weightBytes = inputs * outputs * 4
  let dataBytes = weightBytes + outputs * 4
  let header =
    #"{"0.weight":{"dtype":"F32","shape":[\#(outputs),\#(inputs)],"data_offsets":[0,\#(weightBytes)]},"#
    + #""0.bias":{"dtype":"F32","shape":[\#(outputs)],"data_offsets":[\#(weightBytes),\#(dataBytes)]}}"#
  var file = Data()
  withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { file.append(contentsOf: $0) }
  file.append(contentsOf: header.utf8)
  file.append(Data(count: dataBytes))
  try file.write(to: version.appendingPathComponent("model.safetensors"))
  return folder.path
}
