/// What `GET /openapi.json` answers (OpenAPI Specification 3.1.0).
let openAPIDocument =
  "{" + openAPIInfo + "\n\"paths\": " + openAPIPaths + ",\n\"components\": " + openAPIComponents + "}\n"

/// The document's own data.
private let openAPIInfo = #"""
  "openapi": "3.1.0",
  "info": {
   "title": "Apus",
   "version": "1",
   "description": "Classifiers over HTTP. Every error is a problem of RFC 9457; other methods are 405."
  },
  "security": [{}, {"token": []}],
  """#
