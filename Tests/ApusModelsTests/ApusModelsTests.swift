// ApusModelsTests
