import ApusEngine
import Testing

@testable import ApusFormats

@Suite("Networks from tensors")
struct ArchitectureTests {
  private func build(
    _ tensors: [(String, [Int])], _ architecture: Architecture? = nil, _ output: OutputActivation? = nil
  ) throws(FormatError) -> BuiltNetwork {
    try withStateDict(zerosFile(tensors)) { (stateDict) throws(FormatError) in
      try makeNetwork(stateDict, architecture: architecture, output: output)
    }
  }

  private func message(_ tensors: [(String, [Int])], _ architecture: Architecture? = nil) -> String {
    do {
      return try "built " + build(tensors, architecture).network.summary
    } catch {
      return error.description
    }
  }

  let two = [("fc1.weight", [4, 3]), ("fc1.bias", [4]), ("fc2.weight", [2, 4]), ("fc2.bias", [2])]

  @Test("One layer is linear, several have ReLU between them, and the notes say so")
  func inference() throws {
    let single = try build([("weight", [2, 3]), ("bias", [2])])
    #expect(single.network.summary == "3 -> 2 softmax" && single.network.layers[0].name == "linear")
    let several = try build(two)
    #expect(several.network.summary == "3 -> 4 relu -> 2 softmax")
    #expect(several.notes.contains { $0.contains("inferred architecture mlp 3 -> 4 relu -> 2 softmax") })
    #expect(several.notes.contains { $0.contains("assumed output softmax") })
  }

  @Test("A single class gets a sigmoid, since its softmax would always be 1")
  func singleClass() throws {
    #expect(try build([("fc.weight", [1, 3]), ("fc.bias", [1])]).network.output == .sigmoid)
  }

  @Test("What is said is not assumed")
  func given() throws {
    let built = try build(two, Architecture(type: .mlp, activation: .gelu), OutputActivation.none)
    #expect(built.network.summary == "3 -> 4 gelu -> 2")
    #expect(built.notes.isEmpty)
    let unbiased = try build([("fc.weight", [2, 3])], Architecture(type: .mlp, activation: .relu), .sigmoid)
    #expect(unbiased.network.layers[0].bias == nil)
  }

  @Test("A mismatch names the layer and both shapes")
  func mismatch() {
    var tensors = two
    tensors[2].1 = [2, 5]
    let text = message(tensors)
    #expect(text.contains("fc1 [4, 3]") && text.contains("fc2 [2, 5]") && text.contains("takes 5"))
    tensors = two
    tensors[1].1 = [5]
    #expect(message(tensors).contains("layer fc1: weight [4, 3] needs a bias [4] and has one of shape [5]"))
  }

  @Test("What is no linear layer is refused by name and shape")
  func others() {
    #expect(
      message([("conv.weight", [8, 1, 3, 3]), ("conv.bias", [8])]).contains(
        "conv.weight (float32 of shape [8, 1, 3, 3])"))
    #expect(message(two + [("bn.num_batches_tracked", [])]).contains("bn.num_batches_tracked"))
    #expect(message(two + [("norm.weight", [4])]).contains("norm.weight"))
    #expect(message(two + [("scale", [4])]).contains("scale"))
    #expect(message([("fc.bias", [4])]).contains("layer fc has a bias but no weight"))
    #expect(message([("fc.weight", [2, 3])]).contains("architecture:"))
    #expect(message([("fc.weight", [0, 3]), ("fc.bias", [0])]).contains("empty weight [0, 3]"))
  }

  @Test("Weights must be floating-point numbers, and none of them NaN")
  func values() throws {
    let integers = safetensorsFile(
      #"{"fc.weight":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]}}"#, data: littleEndian([1]))
    #expect(refusal(of: integers)?.description.contains("fc.weight: int32") == true)
    let header =
      #"{"fc.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"#
      + #""fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
    #expect(refusal(of: safetensorsFile(header, data: littleEndian([1, -.infinity]))) == nil)
    #expect(
      refusal(of: safetensorsFile(header, data: littleEndian([1, .nan])))?.description.contains("fc.bias")
        == true)
  }
}
