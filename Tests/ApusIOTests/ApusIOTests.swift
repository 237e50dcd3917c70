// ApusIOTests
