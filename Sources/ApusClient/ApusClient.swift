// ApusClient
