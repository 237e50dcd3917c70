import ApusCommand

Apus.main()
