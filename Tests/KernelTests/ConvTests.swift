import CApusKernels
import Testing

extension KernelTests {
  @Suite struct ConvTests {
    private static let activations = [
      apus_activation_none, apus_activation_relu, apus_activation_clip, apus_activation_leaky,
    ]

    /// Compares all levels with the reference.
    private func check(_ each: ConvCase) {
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
      let shape = each.shape
      let errors = each.errors(of: results)
      #expect(
        errors.count == TestedLevel.available.count && errors.allSatisfy { $0 < 10 },
        """
        \(errors): \(each.images) of \(shape.groups) × \(shape.channels) -> \(shape.outputs),
        \(shape.height.text) by \(shape.width.text)
        """
      )
    }

    private func check(
      groups: Int = 1, _ channels: Int, _ outputs: Int, _ height: apus_axis, _ width: apus_axis, images: Int,
      _ random: inout Random
    ) {
      let shape = apus_conv_shape(
        groups: groups, channels: channels, outputs: outputs, height: height, width: width)
      check(
        ConvCase(
          shape, images: images, activation: Self.activations[random.integer(0...3)], hasBias: random.flag(),
          hasAddend: random.flag(), &random))
    }

    @Test func windowsOfAllKindsAgreeWithTheReference() {
      var random = Random(seed: 21)
      for _ in 0..<120 {
        check(
          random.integer(1...6), random.integer(1...30), .random(&random, input: 1...14),
          .random(&random, input: 1...23), images: random.integer(1...3), &random)
      }
    }

    @Test func linesAgreeWithTheReference() {
      var random = Random(seed: 22)
      for _ in 0..<60 {
        check(
          groups: random.integer(1...2), random.integer(1...9), random.integer(1...40), apus_axis(1, 1),
          .random(&random, input: 1...90, kernel: 1...7), images: random.integer(1...3), &random)
      }
    }

    @Test func groupsAndDepthwiseAgreeWithTheReference() {
      var random = Random(seed: 23)
      for round in 0..<60 {
        let isDepthwise = round % 2 == 0
        check(
          groups: random.integer(2...9), isDepthwise ? 1 : random.integer(1...4),
          isDepthwise ? random.integer(1...2) : random.integer(1...20), .random(&random, input: 1...12),
          .random(&random, input: 1...40), images: random.integer(1...2), &random)
      }
    }

    @Test func onePointAgreesWithTheReference() {
      var random = Random(seed: 24)
      for stride in [1, 2, 3] {
        for (height, width) in [(4, 8), (7, 7), (3, 5), (1, 1), (8, 16), (9, 12)] {
          let (rows, columns) = (apus_axis(height, 1, stride: stride), apus_axis(width, 1, stride: stride))
          check(
            random.integer(1...40), random.integer(17...50), rows, columns, images: random.integer(1...5),
            &random)
          check(random.integer(1...40), random.integer(1...9), rows, columns, images: 2, &random)
        }
      }
    }

    /// More inputs than are added at a time, more outputs than pass by a panel at a time, and more columns
    /// than a tile has.
    @Test func largeSumsAreAddedInBlocks() {
      var random = Random(seed: 25)
      let three = { (size: Int) in apus_axis(size, 3, before: 1, after: 1) }
      check(50, 33, three(6), three(7), images: 3, &random)
      check(91, 17, three(3), three(5), images: 5, &random)
      check(2, 103, three(5), three(3), images: 2, &random)
      check(2, 18, three(52), three(53), images: 1, &random)
      check(400, 20, apus_axis(1, 1), apus_axis(150, 1), images: 1, &random)
      check(400, 3, apus_axis(3, 1), apus_axis(3, 1), images: 1, &random)
    }

    @Test func smallImagesAreComputedTogether() {
      var random = Random(seed: 26)
      for images in [1, 2, 3, 15, 16, 17, 33] {
        check(
          5, 20, apus_axis(7, 3, before: 1, after: 1), apus_axis(7, 3, before: 1, after: 1), images: images,
          &random)
        check(groups: 2, 7, 18, apus_axis(3, 1), apus_axis(1, 1), images: images, &random)
      }
    }

    @Test func longActivationsAreApplied() {
      var random = Random(seed: 27)
      let axis = apus_axis(7, 3)
      for (outputs, kind) in [(3, ConvCase.Kind.direct), (19, .direct), (19, .winograd)] {
        let shape = apus_conv_shape(groups: 1, channels: 3, outputs: outputs, height: axis, width: axis)
        let plain = ConvCase(shape, images: 2, kind: kind, hasBias: true, &random)
        for (activation, function) in [
          (apus_activation_sigmoid, apus_sigmoid), (apus_activation_tanh, apus_tanh),
          (apus_activation_gelu, apus_gelu), (apus_activation_gelu_tanh, apus_gelu_tanh),
        ] {
          for level in TestedLevel.available {
            level.run {
              guard let sums = plain.computed(from: plain.packed()) else { return }
              var expected = sums.row(0)
              function(expected.count, expected, &expected)
              var activated = plain
              activated.activation = activation
              guard let y = activated.computed(from: activated.packed()) else { return }
              #expect(
                zip(y.row(0), expected).allSatisfy { ($0 - $1).magnitude < 1e-6 }, "\(level) \(activation)")
            }
          }
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func weightsPackedAtAnotherLevelCompute(level: TestedLevel) {
      var random = Random(seed: 28)
      let axis = apus_axis(9, 3, before: 1, after: 1)
      let halved = apus_axis(9, 3, stride: 2, before: 1, after: 1)
      let cases = [
        ConvCase(
          apus_conv_shape(groups: 2, channels: 50, outputs: 20, height: halved, width: halved), images: 1,
          &random),
        ConvCase(
          apus_conv_shape(groups: 1, channels: 20, outputs: 17, height: axis, width: axis), images: 1,
          kind: .winograd, &random),
      ]
      for each in cases {
        for other in TestedLevel.available {
          var packed: GuardedRows?
          other.run { packed = each.packed() }
          level.run {
            let y = packed.flatMap { each.computed(from: $0) }
            #expect(each.errors(of: y.map { [$0] } ?? []).first ?? .infinity < 10)
          }
        }
      }
    }

    @Test(arguments: TestedLevel.available)
    func aNaNReachesTheSumsItIsPartOfAndNoOthers(level: TestedLevel) {
      var random = Random(seed: 29)
      for outputs in [2, 20] {
        let axis = apus_axis(20, 3, before: 1, after: 1)
        let each = ConvCase(
          apus_conv_shape(groups: 1, channels: 2, outputs: outputs, height: axis, width: axis), images: 2,
          activation: apus_activation_relu, &random)
        each.x[0, 400 + 10 * 20 + 19] = .nan
        level.run {
          guard let y = each.computed(from: each.packed()) else { return }
          for index in 0..<each.outputCount {
            let (row, column) = (index / 20 % 20, index % 20)
            let isNear = index < outputs * 400 && (9...11).contains(row) && column >= 18
            #expect(y[0, index].isNaN == isNear, "\(outputs), \(index)")
          }
        }
      }
    }

    /// Sizes that would ask for more memory or time than the tensors themselves.
    @Test func sizesThatCostTooMuchAreRefused() {
      let fine = apus_axis(8, 3)
      let refused = [
        apus_axis(1, 2, dilation: 1 << 28, before: 1 << 28),
        apus_axis(1, 1 << 20, before: 1 << 20, after: 1 << 20), apus_axis(1, 1, stride: .max),
        apus_axis(input: .max, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, output: .max),
        apus_axis(input: 8, kernel: 3, stride: 0, dilation: 1, before: 0, after: 0, output: 6),
        apus_axis(input: 8, kernel: 3, stride: 1, dilation: 1, before: -1, after: 0, output: 5),
      ]
      func floats(_ channels: Int, _ height: apus_axis, _ width: apus_axis) -> Int {
        let shape = apus_conv_shape(groups: 1, channels: channels, outputs: 4, height: height, width: width)
        return withUnsafePointer(to: shape) { apus_conv_packed_floats($0) }
      }
      #expect(floats(2, fine, fine) > 0)
      for axis in refused {
        #expect(floats(2, axis, fine) == 0 && floats(2, fine, axis) == 0, "\(axis.text)")
        let pool = withUnsafePointer(to: axis) { apus_pool_scratch_floats($0, $0) }
        #expect(pool == 0, "\(axis.text)")
      }
      #expect(floats(.max, fine, fine) == 0 && floats(0, fine, fine) == 0 && floats(1 << 30, fine, fine) == 0)
    }
  }
}
