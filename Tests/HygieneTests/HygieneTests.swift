// HygieneTests
