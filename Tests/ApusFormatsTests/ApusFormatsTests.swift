// ApusFormatsTests
