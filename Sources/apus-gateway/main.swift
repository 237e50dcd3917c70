import ApusCommand
import ApusGateway

extension HTTPGateway: RunningGateway {}

Gateway.install { server, settings, log in try HTTPGateway(server: server, settings, log) }
Apus.main()
