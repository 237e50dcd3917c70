import ApusCommand
import ApusGateway

extension HTTPGateway: RunningGateway {}

Gateway.install { try HTTPGateway(server: $0, $1) }
Apus.main()
