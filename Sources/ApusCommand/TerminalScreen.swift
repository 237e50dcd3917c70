import Glibc

/// The whole terminal while a command draws on it: the alternate screen, without cursor and echo. It is as it
/// was after `leave`, and after Ctrl-C or SIGTERM, which end the process with status 0.
struct TerminalScreen {
  private static let enterCode = "\u{1B}[?1049h\u{1B}[?25l"
  private static let leaveCode: StaticString = "\u{1B}[?25h\u{1B}[?1049l"

  private var isReadingKeys: Bool

  /// - Returns: nil when standard output is no terminal.
  init?() {
    guard isatty(STDOUT_FILENO) == 1 else { return nil }
    isReadingKeys = tcgetattr(STDIN_FILENO, &settingsBefore) == 0
    areSettingsChanged = isReadingKeys
    onEndSignals { _ in
      TerminalScreen.restore()
      _exit(0)
    }
    // The terminal would be left as it is now.
    _ = signal(SIGTSTP, SIG_IGN)
    // Does nothing, and ends `wait`.
    _ = signal(SIGWINCH) { _ in }
    if isReadingKeys {
      var settings = settingsBefore
      settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
      _ = tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    }
    Self.write(Self.enterCode)
  }

  func leave() { Self.restore() }

  /// Columns and lines.
  var size: (width: Int, height: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
      return (80, 24)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Draws over what was there, in one write, so that nothing flickers.
  ///
  /// - Parameter highlighted: the line that is drawn in reverse.
  func show(_ lines: [String], highlighted: Int) {
    var text = "\u{1B}[H"
    for (place, line) in lines.enumerated() {
      if place > 0 { text += "\r\n" }
      text += place == highlighted ? "\u{1B}[7m\(line)\u{1B}[0m\u{1B}[K" : line + "\u{1B}[K"
    }
    Self.write(text + "\u{1B}[J")
  }

  enum Event { case time, resized, quit }

  /// Waits for a time-out, a change of size, or the key q.
  mutating func wait(milliseconds: Int32) -> Event {
    var entry = pollfd(fd: isReadingKeys ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0)
    let count = poll(&entry, 1, milliseconds)
    if count < 0 { return .resized }
    guard count > 0 else { return .time }
    var key: UInt8 = 0
    guard read(STDIN_FILENO, &key, 1) == 1 else {
      isReadingKeys = false
      return .resized
    }
    return key == UInt8(ascii: "q") ? .quit : .resized
  }

  private static func write(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count <= 0 { return }
      bytes = bytes.dropFirst(count)
    }
  }

  /// Only calls that a signal handler may make (signal-safety(7)).
  private static func restore() {
    _ = Glibc.write(STDOUT_FILENO, leaveCode.utf8Start, leaveCode.utf8CodeUnitCount)
    if areSettingsChanged { _ = tcsetattr(STDIN_FILENO, TCSANOW, &settingsBefore) }
  }
}

// Written once, before the signal handler that reads them is installed and by the only thread.
private nonisolated(unsafe) var settingsBefore = termios()
private nonisolated(unsafe) var areSettingsChanged = false
