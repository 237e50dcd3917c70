/// How the calls of a version are put together and computed, as its `model.yaml` says.
package struct ModelSchedule: Sendable, Equatable {
  /// How long the first call of a batch may wait for further ones; 0: nothing waits.
  package var maximumDelayNanoseconds: UInt64 = 0
  /// Batches that workers compute at one time; nil: no bound.
  package var concurrency: Int?

  package init() {}
}
