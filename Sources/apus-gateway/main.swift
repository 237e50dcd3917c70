import ApusCommand
import ApusGateway

extension HTTPGateway: RunningGateway {}

Gateway.install { server, told, log in
  var settings = HTTPGateway.Settings()
  settings.addresses = told.addresses
  settings.threads = told.threads
  settings.limits = told.limits
  settings.defaultModel = told.defaultModel
  settings.credentials = told.credentials
  return try HTTPGateway(server: server, settings, log)
}

Apus.main()
