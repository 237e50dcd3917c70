/// The next multiple of 64 at or above `byteCount`: bodies, parts and frames begin and end on such multiples.
@inlinable public func roundedUpTo64(_ byteCount: Int) -> Int { (byteCount + 63) & ~63 }
