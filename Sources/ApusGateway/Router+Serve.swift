import ApusWire
import HTTPTypes
import Hummingbird

extension Router<GatewayContext> {
  typealias Handler = @Sendable (Request, GatewayContext) async throws -> Response

  /// Serves GET and HEAD at a path.
  func serve(_ path: String, get handler: @escaping Handler) {
    on(RouterPath(path), method: .get, use: handler)
    refuse(path, allowed: [.get, .head])
  }

  /// Refuses every other method at a path, with 405 and the list of what is allowed (RFC 9110, section
  /// 15.5.6).
  func refuse(_ path: String, allowed: Set<HTTPRequest.Method>) {
    let list = Self.methods.filter(allowed.contains).map(\.rawValue).joined(separator: ", ")
    for method in Self.methods where !allowed.contains(method) {
      on(RouterPath(path), method: method) { (_, _) -> Response in
        var problem = Problem(
          .methodNotAllowed, .unimplemented, "METHOD_NOT_ALLOWED", "this path takes \(list)")
        problem.fields[.allow] = list
        throw problem
      }
    }
  }

  fileprivate static var methods: [HTTPRequest.Method] {
    [.get, .head, .post, .put, .delete, .connect, .options, .trace, .patch]
  }
}

/// Makes a method of which the router has not heard one that every path refuses, so that the answer is 405.
struct KnownMethods: HTTPResponder {
  let router: RouterResponder<GatewayContext>

  private static let known = Set(Router<GatewayContext>.methods)

  func respond(to request: Request, context: GatewayContext) async throws -> Response {
    guard !Self.known.contains(request.method) else {
      return try await router.respond(to: request, context: context)
    }
    var head = request.head
    head.method = .trace
    return try await router.respond(to: Request(head: head, body: request.body), context: context)
  }
}
