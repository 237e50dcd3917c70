import enum ApusClient.CallPriority
import ArgumentParser

extension CallPriority: ExpressibleByArgument {}
