// ApusEngineTests
