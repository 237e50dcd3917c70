import CApusKernels
import Testing

extension KernelTests {
  @Suite struct WinogradTests {
    private static let activations = [
      apus_activation_none, apus_activation_relu, apus_activation_clip, apus_activation_leaky,
    ]

    private static func shape(_ channels: Int, _ outputs: Int, _ height: apus_axis, _ width: apus_axis)
      -> apus_conv_shape
    {
      apus_conv_shape(groups: 1, channels: channels, outputs: outputs, height: height, width: width)
    }

    /// One whose window fits.
    private static func axis(_ random: inout Random, input: ClosedRange<Int>) -> apus_axis {
      while true {
        let (input, before, after) = (random.integer(input), random.integer(0...3), random.integer(0...2))
        if input + before + after >= 3 { return apus_axis(input, 3, before: before, after: after) }
      }
    }

    /// Compares all levels with the reference.
    private func check(_ shape: apus_conv_shape, images: Int, _ random: inout Random) {
      let each = ConvCase(
        shape, images: images, kind: .winograd, activation: Self.activations[random.integer(0...3)],
        hasBias: random.flag(), hasAddend: random.flag(), &random)
      var results: [GuardedRows] = []
      for level in TestedLevel.available {
        level.run {
          guard let y = each.computed(from: each.packed()) else {
            Issue.record("\(level) wrote beside its memory")
            return
          }
          results.append(y)
        }
      }
      let errors = each.errors(of: results)
      #expect(
        errors.count == TestedLevel.available.count && errors.allSatisfy { $0 < 10 },
        """
        \(errors): \(images) of \(shape.channels) -> \(shape.outputs), \(shape.height.text) by \
        \(shape.width.text)
        """
      )
    }

    @Test func imagesOfAllSizesAgreeWithTheReference() {
      var random = Random(seed: 41)
      for _ in 0..<100 {
        let (height, width) = (Self.axis(&random, input: 1...14), Self.axis(&random, input: 1...23))
        check(
          Self.shape(random.integer(1...12), random.integer(1...20), height, width),
          images: random.integer(1...3), &random)
      }
    }

    /// Rows of squares of several images lie in the same vectors.
    @Test func smallImagesAreComputedTogether() {
      var random = Random(seed: 42)
      let sizes = [(7, 7), (4, 4), (1, 1), (2, 9), (14, 14), (5, 3)]
      for (height, width) in sizes {
        for images in [1, 2, 5, 16, 17] {
          check(
            Self.shape(
              3, 8, apus_axis(height, 3, before: 1, after: 1), apus_axis(width, 3, before: 1, after: 1)),
            images: images, &random)
        }
      }
    }

    /// More squares than are computed at a time, more outputs than pass by a panel at a time, many inputs.
    @Test func largeImagesAreComputedInBlocks() {
      var random = Random(seed: 43)
      let three = { (size: Int) in apus_axis(size, 3, before: 1, after: 1) }
      check(Self.shape(2, 58, three(7), three(200)), images: 2, &random)
      check(Self.shape(1, 3, three(3), three(2500)), images: 1, &random)
      check(Self.shape(2, 103, three(9), three(10)), images: 2, &random)
      check(Self.shape(400, 13, three(5), three(4)), images: 1, &random)
      check(Self.shape(3, 4, three(121), three(120)), images: 1, &random)
    }

    /// As exact as direct summation, but for what transforms round besides.
    @Test func errorsAreThoseOfRounding() {
      var random = Random(seed: 44)
      let axis = apus_axis(12, 3, before: 1, after: 1)
      let shape = Self.shape(96, 24, axis, axis)
      let direct = ConvCase(shape, images: 1, &random)
      var winograd = direct
      winograd.kind = .winograd
      for level in TestedLevel.available {
        level.run {
          guard let y = direct.computed(from: direct.packed()),
            let transformed = winograd.computed(from: winograd.packed())
          else {
            Issue.record("\(level) wrote beside its memory")
            return
          }
          let errors = direct.errors(of: [y, transformed])
          #expect(errors[0] > 0 && errors[1] < 4 * errors[0], "\(level): \(errors)")
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func aNaNReachesTheSquaresItIsPartOfAndNoOthers(level: TestedLevel) {
      var random = Random(seed: 46)
      let axis = apus_axis(20, 3, before: 1, after: 1)
      let each = ConvCase(
        Self.shape(2, 20, axis, axis), images: 3, kind: .winograd, activation: apus_activation_relu, &random)
      each.x[0, 2 * 400 + 400 + 10 * 20 + 19] = .nan
      var result: GuardedRows?
      level.run { result = each.computed(from: each.packed()) }
      guard let y = result else {
        Issue.record("it wrote beside its memory")
        return
      }
      for index in 0..<each.outputCount {
        let (row, column) = (index / 20 % 20, index % 20)
        let isOfImage = index / (20 * 400) == 1
        let isPart = isOfImage && (9...11).contains(row) && column >= 18
        let isNear = isOfImage && (8...11).contains(row) && column >= 18
        let isNaN = y[0, index].isNaN
        #expect(isPart ? isNaN : isNear || !isNaN, "\(index)")
      }
    }

    @Test func otherConvolutionsAndSizesThatCostTooMuchAreRefused() {
      func floats(groups: Int = 1, _ channels: Int, _ outputs: Int, _ height: apus_axis, _ width: apus_axis)
        -> Int
      {
        let shape = apus_conv_shape(
          groups: groups, channels: channels, outputs: outputs, height: height, width: width)
        return withUnsafePointer(to: shape) { shape in
          let packed = apus_winograd_packed_floats(shape)
          #expect((packed > 0) == (apus_winograd_scratch_floats(shape, 1) > 0))
          return packed
        }
      }
      let fine = apus_axis(8, 3)
      #expect(floats(4, 7, fine, fine) >= 16 * 4 * 7)
      let refused = [
        apus_axis(8, 1), apus_axis(8, 5), apus_axis(8, 3, stride: 2), apus_axis(8, 3, dilation: 2),
        apus_axis(1, 3, before: 1 << 28, after: 1 << 28),
        apus_axis(input: .max, kernel: 3, stride: 1, dilation: 1, before: 0, after: 0, output: .max),
        apus_axis(input: 8, kernel: 3, stride: 1, dilation: 1, before: -1, after: 0, output: 5),
        apus_axis(input: 8, kernel: 3, stride: 1, dilation: 1, before: 0, after: 0, output: 0),
      ]
      for axis in refused {
        #expect(floats(4, 7, axis, fine) == 0 && floats(4, 7, fine, axis) == 0, "\(axis.text)")
      }
      #expect(floats(groups: 2, 4, 7, fine, fine) == 0)
      for many in [0, -1, 1 << 24, .max] {
        #expect(floats(many, 1, fine, fine) == 0 && floats(1, many, fine, fine) == 0, "\(many)")
      }
      #expect(floats(1 << 14, 1 << 14, fine, fine) == 0)
    }

    @Test func scratchMemoryGrowsWithImages() {
      for size in [1, 7, 14, 56] {
        let axis = apus_axis(size, 3, before: 1, after: 1)
        withUnsafePointer(to: Self.shape(64, 64, axis, axis)) { shape in
          let floats = (1...40).map { apus_winograd_scratch_floats(shape, $0) }
          #expect(floats[0] > 0 && floats == floats.sorted(), "\(size)")
        }
      }
    }
  }
}
