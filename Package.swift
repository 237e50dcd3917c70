// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
  name: "apus",
  products: [
    .library(name: "ApusClient", targets: ["ApusClient"]),
    .executable(name: "apus", targets: ["apus"]),
    .executable(name: "apus-gateway", targets: ["apus-gateway"]),
    .executable(name: "apus-store", targets: ["apus-store"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Layer 0: C libraries and generated messages.
    .target(name: "CLinux"),
    .target(name: "CApusKernels"),
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
    .target(name: "CSingleThreadedBLAS"),
    .target(name: "CApusProto", dependencies: ["CProtobufC"]),
    .target(name: "COnnxProto", dependencies: ["CProtobufC"]),
    .target(name: "CTensorFlowProto", dependencies: ["CProtobufC"]),

    // Layers 1 to 5: each imports only from above; Tests/HygieneTests checks it.
    module("ApusBase", ["CLinux"]),
    module("ApusWire", ["ApusBase", "CApusProto"]),
    module("ApusIO", ["ApusBase", "CLinux"]),
    module("ApusDigest", ["COpenSSL"]),
    module("ApusTLS", ["ApusBase", "COpenSSL"]),
    module("ApusLane", ["CLinux", "ApusBase", "ApusWire", "ApusIO"]),
    module("ApusStream", ["ApusBase", "ApusIO", "ApusTLS", "ApusLane"]),
    module("ApusLog", ["ApusBase", "ApusWire", "ApusIO"]),
    module("ApusYAML", ["Yams"]),
    module("ApusJSON", []),
    module("ApusMetrics", []),
    module("ApusEngine", ["ApusBase", "CApusKernels", "COpenBLAS", "CSingleThreadedBLAS"]),
    module("ApusFormats", ["ApusBase", "ApusEngine", "COnnxProto", "CTensorFlowProto"]),
    module("ApusFeatures", ["ApusBase"]),
    module(
      "ApusModels",
      [
        "CLinux", "ApusBase", "ApusDigest", "ApusEngine", "ApusFeatures", "ApusFormats", "ApusJSON", "ApusYAML",
        "COpenSSL",
      ]),
    module("ApusAccess", ["ApusBase", "ApusDigest", "ApusYAML", "COpenSSL"]),
    module("ApusClient", ["ApusBase", "ApusDigest", "ApusWire", "ApusIO", "ApusTLS", "ApusStream", "ApusLane"]),
    module(
      "ApusServer",
      [
        "ApusBase", "ApusDigest", "ApusWire", "ApusIO", "ApusTLS", "ApusStream", "ApusLane", "ApusEngine",
        "ApusFeatures", "ApusModels", "ApusAccess", "ApusMetrics", "ApusLog",
      ]),

    // Layer 6: HTTP.
    module(
      "ApusGateway",
      [
        "ApusAccess", "ApusBase", "ApusMetrics", "ApusWire", "ApusJSON", "ApusIO", "ApusTLS", "ApusServer",
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),

    // Stores of models, by a process beside the server, which speaks no HTTP to a store.
    module("ApusStore", ["ApusBase", "ApusIO", "ApusJSON", "CCurl", "CExpat", "COpenSSL"]),

    // Layer 7: the command line. `apus` starts fast and small; a server with HTTP is `apus-gateway`.
    module(
      "ApusCommand",
      [
        "ApusBase", "ApusWire", "ApusIO", "ApusTLS", "ApusJSON", "ApusYAML", "ApusEngine", "ApusFormats",
        "ApusModels", "ApusAccess", "ApusClient", "ApusServer", "ApusLog",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(name: "apus", dependencies: ["ApusCommand"], swiftSettings: settings),
    .executableTarget(
      name: "apus-gateway", dependencies: ["ApusCommand", "ApusGateway"], swiftSettings: settings),

    .executableTarget(
      name: "apus-store",
      dependencies: ["ApusStore", "CLinux", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: settings),

    // What the engine is compared with, and what compares them: benchmarks/engine.
    .target(name: "COnnxRuntime", path: "benchmarks/engine/onnxruntime"),
    .executableTarget(
      name: "engine-bench", dependencies: ["ApusBase", "ApusEngine", "ApusFormats", "COnnxRuntime"],
      path: "benchmarks/engine/probe", swiftSettings: settings),

    tests("ApusBaseTests", ["ApusBase"]),
    tests("ApusWireTests", ["ApusWire", "ApusBase", "CApusProto"]),
    tests("ApusLaneTests", ["ApusLane", "ApusWire", "ApusIO", "ApusBase", "CLinux"]),
    tests("ApusIOTests", ["ApusIO", "ApusBase", "CLinux"]),
    // Certificates, made while tests run.
    .target(
      name: "TestCertificates", dependencies: ["COpenSSL"], path: "Tests/TestCertificates",
      swiftSettings: settings),
    tests("ApusTLSTests", ["ApusTLS", "ApusBase", "COpenSSL", "TestCertificates"]),
    tests("ApusYAMLTests", ["ApusYAML"]),
    tests("ApusJSONTests", ["ApusJSON"]),
    tests("ApusMetricsTests", ["ApusMetrics"]),
    tests("ApusAccessTests", ["ApusAccess", "ApusYAML", "ApusBase"]),
    // The kernels of 16 floats for machines without AVX-512.
    .target(name: "WideKernels", dependencies: ["CApusKernels"], path: "Tests/WideKernels"),
    tests("KernelTests", ["CApusKernels", "WideKernels"]),
    tests("ApusEngineTests", ["ApusEngine", "ApusBase"]),
    tests("ApusFormatsTests", ["ApusFormats", "ApusEngine", "ApusBase", "COnnxProto"]),
    tests("ApusFeaturesTests", ["ApusFeatures", "ApusBase"]),
    tests(
      "ApusModelsTests", ["ApusFeatures", "ApusModels", "ApusFormats", "ApusEngine", "ApusJSON", "ApusBase"]),
    tests(
      "ApusGatewayTests",
      [
        "ApusGateway", "ApusJSON", "ApusWire", .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOEmbedded", package: "swift-nio"),
      ]),
    tests("ApusStoreTests", ["ApusStore", "ApusJSON"]),
    tests("ApusClientTests", ["ApusClient", "ApusWire", "ApusIO", "ApusBase"]),
    tests(
      "ConfigurationTests",
      [
        "ApusCommand", "ApusWire", "ApusIO", "ApusJSON", "ApusBase", "TestCertificates",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // The shape of the sources: imports, lengths, words.
    tests("HygieneTests", []),
    // Counts, exact: preloads Tests/Interpose/interpose.c into real processes.
    .executableTarget(
      name: "client-probe", dependencies: ["ApusClient"], path: "Tests/ClientProbe", swiftSettings: settings),
    tests(
      "ExactTests",
      ["apus", "client-probe", "ApusClient", "ApusWire", "ApusIO", "ApusBase", "TestCertificates"]),
    // `apus` as a service: passed sockets, what the manager is told, units, `apus doctor`.
    .testTarget(
      name: "ServiceTests", dependencies: ["apus", "ApusCommand"], exclude: ["manager.py"], swiftSettings: settings),
    // Lines, rings, the access log of a real server, `apus logs`.
    tests(
      "LogTests", ["apus", "ApusCommand", "ApusLog", "ApusClient", "ApusWire", "ApusIO", "ApusBase"]),
    // Starts the `apus` that was built beside it; a server whose limits must be short runs in the test's own process.
    tests(
      "ServerTests",
      [
        "apus", "ApusCommand", "ApusServer", "ApusModels", "ApusEngine", "ApusClient", "ApusWire", "ApusIO",
        "ApusTLS", "ApusStream", "ApusLane", "ApusAccess", "ApusMetrics", "ApusLog", "ApusBase", "CLinux",
        "TestCertificates",
      ]),
  ]
)
