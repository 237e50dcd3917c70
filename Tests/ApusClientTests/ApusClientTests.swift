// ApusClientTests
