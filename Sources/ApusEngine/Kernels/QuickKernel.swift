/// What a kernel may know of its node: types for any batch, and the inputs that are constants.
struct KernelTypes {
  let inputs: [BatchType?]
  let outputs: [BatchType]
  let constants: [Tensor?]

  /// All elements of the first output, for so many rows each.
  var outputCount: Extent { outputs[0].count }

  func isFloat32(_ input: Int) -> Bool { input < inputs.count && inputs[input]?.element == .float32 }

  /// What operators are told of their inputs, for so many rows.
  func known(rows: Int) throws(GraphError) -> [KnownTensor?] {
    var known: [KnownTensor?] = []
    for (place, type) in inputs.enumerated() {
      known.append(
        try type.map { (type) throws(GraphError) in
          KnownTensor(type: try type.resolved(rows: rows), value: constants[place]?.view)
        })
    }
    return known
  }

  /// The numbers of a constant of float32.
  func floats(_ input: Int) -> UnsafePointer<Float>? {
    guard input < constants.count, let tensor = constants[input], tensor.type.element == .float32 else {
      return nil
    }
    return UnsafePointer(tensor.start.assumingMemoryBound(to: Float.self))
  }
}

/// The quick form of an operator for these types; nil: there is none, and the plain one serves.
func quickKernel(
  _ operation: any Operator, _ types: KernelTypes, _ planner: KernelPlanner
) -> (any StepKernel)? {
  if let kernel = moveKernel(operation, types) { return kernel }
  switch operation {
  case let trees as TreeEnsembleClassifier: return TreeClassifierKernel(trees, types)
  case let trees as TreeEnsembleRegressor: return TreeRegressorKernel(trees, types)
  case let product as IntegerLinear: return IntegerLinearKernel(product, types)
  case let conv as ConvInteger: return IntegerConvKernel(conv, types)
  case let conv as QLinearConv: return IntegerConvKernel(conv, types)
  case is MatMulInteger: return IntegerMatMulKernel(types)
  case let quantize as QuantizeLinear: return QuantizeKernel(quantize, types)
  case let dequantize as DequantizeLinear: return DequantizeKernel(dequantize, types)
  case is DynamicQuantizeLinear: return DynamicQuantizeKernel(types)
  default: break
  }
  return featureKernel(operation, types) ?? floatKernel(operation, types, planner)
    ?? plainKernel(operation, types)
}

/// The quick form of an operator on float32.
private func floatKernel(
  _ operation: any Operator, _ types: KernelTypes, _ planner: KernelPlanner
) -> (any StepKernel)? {
  guard types.isFloat32(0), types.outputs.first?.element == .float32 else { return nil }
  switch operation {
  case let linear as Linear: return LinearKernel(linear, types, planner)
  case let softmax as SoftmaxOperator: return SoftmaxKernel(softmax, types)
  case let norm as LayerNormalization: return LayerNormKernel(norm, types)
  case let map as Elementwise: return MapKernel(map.function, types)
  case let gelu as Gelu: return MapKernel(gelu, types)
  case let power as Power: return MapKernel(power, types)
  case let pair as Arithmetic: return PairKernel(pair.function, types)
  case let pair as Variadic: return PairKernel(pair.function, types)
  case let reduction as Reduction: return ReductionKernel(reduction, types)
  case let norm as AxisNormalization: return AxisNormKernel(norm, types)
  case let maximum as ActivatedMaximum: return ActivatedMaximumKernel(maximum, types)
  case let conv as SequenceConv: return SequenceConvKernel(conv, types)
  case let conv as Conv: return ConvKernel(conv, .none, types)
  case let conv as ActivatedConv:
    return ConvKernel(conv.conv, hasAddend: conv.hasAddend, conv.activation, types)
  case let pool as MaxPool: return PoolKernel(pool, types)
  case let pool as AveragePool: return PoolKernel(pool, types)
  case let pool as GlobalPool: return GlobalPoolKernel(pool, types)
  default: return nil
  }
}

/// The quick form of an operator of ai.onnx.ml.
private func featureKernel(_ operation: any Operator, _ types: KernelTypes) -> (any StepKernel)? {
  switch operation {
  case let classifier as LinearClassifier: LinearClassifierKernel(classifier, types)
  case let regressor as LinearRegressor: LinearRegressorKernel(regressor, types)
  case let classifier as SVMClassifier: SVMClassifierKernel(classifier, types)
  case let regressor as SVMRegressor: SVMRegressorKernel(regressor, types)
  case let scaler as Scaler: ScalerKernel(scaler, types)
  case let normalizer as Normalizer: NormalizerKernel(normalizer, types)
  case let imputer as Imputer: ImputerKernel(imputer, types)
  case is FeatureVectorizer: FeatureVectorizerKernel(types)
  default: nil
  }
}

/// The plain form of an operator, where it can run without allocating.
private func plainKernel(_ operation: any Operator, _ types: KernelTypes) -> (any StepKernel)? {
  switch operation {
  case let clip as Clip: clip.withConstantBounds(types).flatMap { PlainMapKernel($0, types) }
  case let variadic as Variadic: variadic.function == .mean ? nil : PlainPairKernel(variadic, types)
  case let map as any MapOperator: PlainMapKernel(map, types)
  case let pair as any PairOperator: PlainPairKernel(pair, types)
  default: nil
  }
}

/// The quick form of an operator that moves, picks or converts elements, which may be of any type.
private func moveKernel(_ operation: any Operator, _ types: KernelTypes) -> (any StepKernel)? {
  switch operation {
  case is Reshaping, is Identity, is ZipMap: CopyKernel(types)
  case let rearrangement as Rearrangement: MoveKernel(rearrangement, types)
  case let slicing as Slicing: MoveKernel(slicing, types)
  case let join as Concatenation: PartsKernel(join, types)
  case let split as Splitting: PartsKernel(split, types)
  case let padding as Padding: PadKernel(padding, types)
  case let gathering as Gathering: GatherKernel(gathering, types)
  case let extractor as ArrayFeatureExtractor: GatherKernel(extractor, types)
  case let lookup as RowLookup: LookupKernel(lookup, types)
  case is Selection: SelectKernel(types)
  case is Casting: FloatKernel(types)
  case let choice as ArgReduction: ArgMaxKernel(choice, types)
  default: nil
  }
}
