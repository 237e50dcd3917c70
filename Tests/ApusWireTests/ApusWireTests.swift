// ApusWireTests
