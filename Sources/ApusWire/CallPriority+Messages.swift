import ApusBase
import CApusProto

extension CallPriority {
  /// nil: the caller has not said it, or it is a number of a later version.
  init?(_ message: Apus__V1__Priority) {
    switch message {
    case APUS__V1__PRIORITY__PRIORITY_INTERACTIVE: self = .interactive
    case APUS__V1__PRIORITY__PRIORITY_BATCH: self = .batch
    default: return nil
    }
  }

  var message: Apus__V1__Priority {
    switch self {
    case .interactive: APUS__V1__PRIORITY__PRIORITY_INTERACTIVE
    case .batch: APUS__V1__PRIORITY__PRIORITY_BATCH
    }
  }
}
