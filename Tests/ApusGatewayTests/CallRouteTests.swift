import Testing

@testable import ApusGateway

struct CallRouteTests {
  @Test(arguments: [
    ("/classify", CallRoute.Form.tutorials, "", "", ""),
    ("/classify?x=/infer", .tutorials, "", "", ""),
    ("/v1/models/digits:classify", .classify, "digits", "", ""),
    ("//v1/models//digits:classify", .classify, "digits", "", ""),
    ("/v1/models/:classify", .classify, "", "", ""),
    ("/v1/models/digits%3Aclassify", .classify, "digits", "", ""),
    ("/v1/models/a%2Fb:classify", .classify, "a/b", "", ""),
    ("/v1/models/a%2:classify", .classify, "a%2", "", ""),
    ("/v1/models/a:classify:classify", .classify, "a:classify", "", ""),
    ("/v1/models/digits/versions/3:classify", .classify, "digits", "3", ""),
    ("/v1/models/digits/aliases/stable:classify", .classify, "digits", "", "stable"),
    ("/v2/models/digits/infer", .inference, "digits", "", ""),
    ("/v2/models/digits/versions/x/infer", .inference, "digits", "x", ""),
    ("/v2/models/infer/infer", .inference, "infer", "", ""),
  ])
  func pathsOfCalls(
    _ path: String, _ form: CallRoute.Form, _ model: String, _ version: String, _ alias: String
  ) {
    let route = CallRoute(path: path)
    #expect(route?.form == form && route?.model == model, "\(path): \(String(describing: route))")
    #expect(route?.version == version && route?.alias == alias, "\(path): \(String(describing: route))")
  }

  @Test(arguments: [
    "", "/", "*", "/classify/x", "/v1/models", "/v1/models/digits",
    "/v1/models/digits/versions:classify", "/v1/models/digits/versions/:classify",
    "/v1/models/digits/nothing/3:classify", "/v1/models/digits/versions/3/4:classify", "/v2/models/infer",
    "/v2/models/digits/ready", "/v2/models/digits/aliases/stable/infer", "/v2/models/digits/versions/infer",
    "/v1/models/digits/infer", "/v2/models/digits:classify",
  ])
  func otherPaths(_ path: String) { #expect(CallRoute(path: path) == nil) }
}

struct HTTPDateTests {
  @Test func theFormOfRFC9110() {
    #expect(HTTPDate.text(of: 784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
    #expect(HTTPDate.text(of: 951_782_400) == "Tue, 29 Feb 2000 00:00:00 GMT")
    var date = HTTPDate()
    #expect(date.text.utf8.count == 29 && date.text.hasSuffix(" GMT"))
  }
}
