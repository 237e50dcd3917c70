/// STUB
package enum CallPriority: UInt8, Sendable { case interactive = 0, batch = 1 }
