import ApusBase
import CApusKernels

/// A convolution as a product of matrices: the weights [M, K] with the patches of an image [K, places], which
/// are laid out for each image ("im2col", Chellapilla et al. 2006). K is the channels of a group times the
/// kernel's size.
struct ConvKernel: StepKernel {
  private let places: Convolution.Places
  private let images: Extent
  private let activation: FusedActivation
  private let hasBias: Bool
  /// Whether the patches are the image as it lies: a kernel of one element that goes over all places.
  private let isPointwise: Bool

  init?(_ conv: Conv, _ activation: FusedActivation, _ types: KernelTypes) {
    guard let input = types.inputs[0], let weights = types.inputs[1], !weights.count.isPerRow,
      input.shape.count == 4, !input.shape.dropFirst().contains(where: \.isPerRow),
      let places = try? conv.convolution.places(
        input: [1] + input.shape.dropFirst().map(\.count), weights: weights.shape.map(\.count))
    else { return nil }
    // Where a group has few channels, products of matrices are too small to gain anything.
    guard places.groups == 1 || places.outputs / places.groups >= 8 else { return nil }
    self.places = places
    images = input.shape[0]
    self.activation = activation
    hasBias = types.inputs.count > 2 && types.inputs[2] != nil
    isPointwise =
      places.window.kernelCount == 1 && places.window.inputCount == places.window.outputCount
      && places.window.isWithoutPadding
  }

  private var patchRows: Int { places.channels / places.groups * places.window.kernelCount }
  private var patchFloats: Int { isPointwise ? 0 : (patchRows * places.window.outputCount + 15) & ~15 }

  func scratchBytes(rows: Int) -> Int {
    4 * (patchFloats + apus_gemm_workspace_floats(places.window.outputCount, patchRows))
  }

  func run(rows: Int, _ run: borrowing StepRun) {
    guard let input = run.floats(0), let weights = run.floats(1) else { return }
    let bias = hasBias ? run.floats(2) : nil
    let patches = run.scratch.assumingMemoryBound(to: Float.self)
    let (outputs, count) = (places.outputs / places.groups, places.window.outputCount)
    let channels = places.channels / places.groups
    for image in 0..<images.resolved(rows: rows) {
      for group in 0..<places.groups {
        let source = input + (image * places.channels + group * channels) * places.window.inputCount
        if !isPointwise { places.layPatches(of: source, channels: channels, into: patches) }
        apus_gemm(
          outputs, count, patchRows, weights + group * outputs * patchRows, patchRows,
          isPointwise ? source : UnsafePointer(patches), count, false,
          run.output + (image * places.outputs + group * outputs) * count, count, patches + patchFloats)
      }
      let result = run.output + image * places.outputs * count
      if let bias {
        for channel in 0..<places.outputs {
          let values = result + channel * count
          for place in 0..<count { values[place] += bias[channel] }
        }
      }
      activation.applyQuickly(result, places.outputs * count)
    }
  }

  var description: String {
    let kernel = places.window
    return "Conv \(places.channels) -> \(places.outputs), \(kernel.height.kernel) x \(kernel.width.kernel)"
  }
}

extension Convolution.Places {
  /// Writes, for each element of the kernel and each channel, the numbers that it meets in all places; 0
  /// where that is in the padding.
  ///
  /// Invariant: `image` covers `channels` planes of two dimensions, `patches` as many rows times the kernel's
  /// elements, of `outputCount` floats each.
  fileprivate func layPatches(
    of image: UnsafePointer<Float>, channels: Int, into patches: UnsafeMutablePointer<Float>
  ) {
    let (height, width) = (window.height, window.width)
    var target = patches
    for channel in 0..<channels {
      let plane = image + channel * window.inputCount
      for inHeight in 0..<height.kernel {
        for inWidth in 0..<width.kernel {
          let range = width.outputRange(kernel: inWidth)
          for row in 0..<height.output {
            let line = row * height.stride - height.before + inHeight * height.dilation
            guard line >= 0, line < height.input, !range.isEmpty else {
              target.update(repeating: 0, count: width.output)
              target += width.output
              continue
            }
            target.update(repeating: 0, count: range.lowerBound)
            (target + range.upperBound).update(repeating: 0, count: width.output - range.upperBound)
            let source = plane + line * width.input + inWidth * width.dilation - width.before
            if width.stride == 1 {
              (target + range.lowerBound).update(from: source + range.lowerBound, count: range.count)
            } else {
              for place in range { target[place] = source[place * width.stride] }
            }
            target += width.output
          }
        }
      }
    }
  }
}

extension WindowPlaces {
  /// Whether a kernel of one element goes over all of the input and nothing else.
  fileprivate var isWithoutPadding: Bool {
    [depth, height, width].allSatisfy { $0.stride == 1 && $0.before == 0 && $0.after == 0 }
  }
}
