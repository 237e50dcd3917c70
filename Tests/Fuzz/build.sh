#!/usr/bin/env bash
# Builds a libFuzzer target with the address sanitizer: Tests/Fuzz/build.sh TARGET [FOLDER]
#
# TARGET is json, logs, onnx, platform, pytorch, safetensors, store, tensorflow, text,
# tls or wire; the program is FOLDER/TARGET (default
# .build/fuzz). Then, for example:
#   SWIFT_BACKTRACE=enable=no .build/fuzz/pytorch -max_total_time=60 -rss_limit_mb=512 NEW Tests/Fuzz/corpus/pytorch
# NEW is a folder for what the run finds. Without backtraces off, a crash hangs in Swift's backtracer.
set -euo pipefail

target=${1:?usage: Tests/Fuzz/build.sh json|logs|onnx|platform|pytorch|safetensors|store|tensorflow|text|tls|wire [FOLDER]}
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${2:-$root/.build/fuzz}
mkdir -p "$out"
out=$(cd "$out" && pwd)

flags=(
  -O -g -wmo -parse-as-library -sanitize=fuzzer,address -swift-version 6 -package-name apus -I "$out"
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
  -enable-upcoming-feature MemberImportVisibility -warnings-as-errors -use-ld=lld
)
libraries=()
# Of the modules that were made before.
keys=""

# A C module: its objects, and its header folder for the modules above.
c_module() {
  local name=$1 source
  shift
  for source in "$@"; do
    clang -O1 -g -fsanitize=address,fuzzer-no-link -I "$root/Sources/$name/include" -c "$source" \
      -o "$out/$name-$(basename "$source").o"
    libraries+=("$out/$name-$(basename "$source").o")
  done
  flags+=(-I "$root/Sources/$name/include")
}

# A Swift module from these files, or from all of its folder: a static library. One that another target has made of the
# same files over the same modules is taken as it is.
swift_module() {
  local name=$1 key
  shift
  if [ $# -eq 0 ]; then set -- "$root/Sources/$name"/*.swift; fi
  key=$({ printf '%s\n' "${flags[@]}" "$@" "$keys"; cat "$@"; } | sha256sum)
  keys+=$key
  if [ -e "$out/lib$name.a" ] && [ "$key" = "$(cat "$out/$name.key" 2>/dev/null)" ]; then
    libraries=("$out/lib$name.a" "${libraries[@]}")
    return
  fi
  rm -f "$out/$name.key"
  swiftc "${flags[@]}" -emit-module -emit-module-path "$out/$name.swiftmodule" -emit-library -static \
    -module-name "$name" -o "$out/lib$name.a" "$@"
  echo "$key" >"$out/$name.key"
  libraries=("$out/lib$name.a" "${libraries[@]}")
}

# The target's own file, linked with everything before it; in the output folder, where the compiler leaves what it
# makes on the way.
program() {
  (cd "$out" && swiftc "${flags[@]}" "$root/Tests/Fuzz/$1" -module-name FuzzTarget "${libraries[@]}" "${@:2}" -o "$target")
}

case $target in
  logs)
    # The reader and the writer of lines alone.
    swift_module ApusLog "$root"/Sources/ApusLog/{JSONLine,LogLine,LogTime}.swift
    program LogsFuzz.swift
    ;;
  pytorch | safetensors)
    # The description of a network and its tensors alone: a reader of files needs no kernels.
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    swift_module ApusBase
    swift_module ApusEngine "$root"/Sources/ApusEngine/{Classifier/{Network,OutputActivation},Graph/{ElementType,Tensor,TensorType}}.swift
    swift_module ApusFormats
    if [ "$target" = pytorch ]; then program PyTorchFuzz.swift; else program SafetensorsFuzz.swift; fi
    ;;
  onnx | tensorflow)
    # All of the engine: what is read becomes a program, too, whose kernels are sanitized as well. Optimizing it with the
    # sanitizer takes a quarter of an hour.
    flags=("${flags[@]/%-O/-Onone}")
    flags+=(-I "$root/Sources/CProtobufC" -I "$root/Sources/COpenBLAS")
    for flag in $(pkg-config --cflags openblas); do flags+=(-Xcc "$flag"); done
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    c_module CSingleThreadedBLAS "$root"/Sources/CSingleThreadedBLAS/*.c
    c_module CApusKernels "$root"/Sources/CApusKernels/*.c
    c_module COnnxProto "$root/Sources/COnnxProto/onnx.pb-c.c"
    c_module CTensorFlowProto "$root/Sources/CTensorFlowProto/tensorflow.pb-c.c"
    swift_module ApusBase
    swift_module ApusEngine "$root"/Sources/ApusEngine/*/*.swift
    swift_module ApusFormats "$root"/Sources/ApusFormats/*.swift "$root"/Sources/ApusFormats/*/*.swift
    if [ "$target" = onnx ]; then source=ONNXFuzz.swift; else source=TensorFlowFuzz.swift; fi
    program "$source" "$root/Tests/Fuzz/GraphFuzz.swift" -lprotobuf-c $(pkg-config --libs openblas)
    ;;
  platform)
    # The files of a repository that others write, without the folders: those need YAML.
    flags+=(-I "$root/Sources/COpenSSL")
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    swift_module ApusBase
    swift_module ApusEngine "$root"/Sources/ApusEngine/{Classifier/{Network,OutputActivation},Graph/{ElementType,Tensor,TensorType}}.swift
    swift_module ApusFormats
    swift_module ApusJSON
    swift_module ApusDigest
    swift_module ApusModels "$root"/Sources/ApusModels/{AuditEntry,Digest,JSONFields,ManifestSignatures}.swift \
      "$root"/Sources/ApusModels/{MappedFile,ModelRecord,Samples,Samples+Reading,Signing}.swift \
      "$root"/Sources/ApusModels/{UTCTime,VersionManifest}.swift "$root/Tests/Fuzz/PlatformNames.swift"
    program PlatformFuzz.swift -lcrypto
    ;;
  text)
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    swift_module ApusBase
    swift_module ApusFeatures
    program TextFuzz.swift
    ;;
  tls)
    # The sessions' tests have the transport in memory that the target needs.
    flags+=(-enable-testing -I "$root/Sources/COpenSSL")
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    swift_module ApusBase
    swift_module ApusTLS
    swift_module TestCertificates "$root"/Tests/TestCertificates/*.swift
    program TLSFuzz.swift "$root"/Tests/ApusTLSTests/{Support,Wire}.swift -lssl -lcrypto
    ;;
  wire)
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    flags+=(-I "$root/Sources/CProtobufC")
    c_module CApusProto "$root/Sources/CApusProto/apus.pb-c.c"
    swift_module ApusBase
    swift_module ApusWire
    program WireFuzz.swift -lprotobuf-c
    ;;
  json)
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    flags+=(-I "$root/Sources/CProtobufC")
    c_module CApusProto "$root/Sources/CApusProto/apus.pb-c.c"
    swift_module ApusBase
    swift_module ApusWire
    swift_module ApusJSON
    # What bodies hold, without HTTP.
    swift_module ApusGateway "$root"/Sources/ApusGateway/{InferenceRequest,InferenceRequest+Texts,Input}.swift
    program JSONFuzz.swift -lprotobuf-c
    ;;
  store)
    c_module CLinux "$root/Sources/CLinux/clinux.c"
    flags+=(-I "$root/Sources/CExpat")
    swift_module ApusBase
    swift_module ApusJSON
    # The readers of what a store sends, alone.
    swift_module ApusStore \
      "$root"/Sources/ApusStore/{Escape,ListedModels,ListingPage,StoreCatalog,StoreError,StoreIndex,StoreNames}.swift
    program StoreFuzz.swift -lexpat
    ;;
  *)
    echo "unknown target $target; there are json, logs, onnx, platform, pytorch, safetensors, store, tensorflow, text, tls and wire" >&2
    exit 2
    ;;
esac
echo "$out/$target"
