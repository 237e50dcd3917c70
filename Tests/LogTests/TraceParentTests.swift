import ApusBase
import Testing

/// W3C Trace Context, section 3.2.
@Suite struct TraceParentTests {
  private static let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  @Test func theExampleOfTheSpecificationIsRead() throws {
    let trace = try #require(TraceParent(Self.valid))
    #expect(trace.traceHigh == 0x4bf9_2f35_77b3_4da6 && trace.traceLow == 0xa3ce_929d_0e0e_4736)
    #expect(trace.parent == 0x00f0_67aa_0ba9_02b7 && trace.flags == 1 && !trace.isNone)
    #expect(TraceParent.none.isNone)
  }

  /// A later version may have more behind another dash.
  @Test func ofALaterVersionTheBeginningIsRead() {
    let later = "cc" + Self.valid.dropFirst(2)
    #expect(TraceParent(later) == TraceParent(Self.valid))
    #expect(TraceParent(later + "-what-comes") == TraceParent(Self.valid))
    #expect(TraceParent(later + ".what") == nil)
    #expect(TraceParent(Self.valid + "-what-comes") == nil)
  }

  @Test(arguments: [
    "", "00", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
    "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1\n",
  ])
  func anythingElseIsNone(_ text: String) { #expect(TraceParent(text) == nil) }
}
