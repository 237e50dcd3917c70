ApusStoreCommand.main()
