import ArgumentParser

import enum ApusClient.CallPriority

extension CallPriority: ExpressibleByArgument {}
