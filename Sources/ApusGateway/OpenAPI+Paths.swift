/// The routes.
let openAPIPaths = #"""
  {
   "/healthz": {
    "get": {
     "operationId": "live",
     "summary": "Does the process answer?",
     "responses": {
      "200": {
       "description": "It does.",
       "content": {"text/plain": {"schema": {"type": "string", "examples": ["ok\n"]}}}
      }
     },
     "security": []
    }
   },
   "/readyz": {
    "get": {
     "operationId": "ready",
     "summary": "May calls be sent here? 503 while the server drains.",
     "responses": {
      "200": {
       "description": "They may.",
       "content": {"text/plain": {"schema": {"type": "string", "examples": ["ready\n"]}}}
      },
      "503": {"$ref": "#/components/responses/Unavailable"}
     },
     "security": []
    }
   },
   "/openapi.json": {
    "get": {
     "operationId": "document",
     "summary": "This document.",
     "responses": {
      "200": {
       "description": "OpenAPI 3.1.",
       "content": {"application/json": {"schema": {"type": "object"}}}
      }
     },
     "security": []
    }
   },
   "/v1": {
    "get": {
     "operationId": "describeServer",
     "summary": "The server, and the versions of each protocol that it speaks.",
     "responses": {
      "200": {
       "description": "For RPC as Hello tells it.",
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Server"}}}
      }
     },
     "security": []
    }
   },
   "/v1/models": {
    "get": {
     "operationId": "listModels",
     "summary": "All models.",
     "responses": {
      "200": {
       "description": "Every version that the caller may see.",
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Models"}}}
      },
      "401": {"$ref": "#/components/responses/Unauthenticated"},
      "403": {"$ref": "#/components/responses/Denied"}
     }
    }
   },
   "/v1/models/{model}": {
    "get": {
     "operationId": "describeModel",
     "summary": "All versions of one model.",
     "parameters": [{"$ref": "#/components/parameters/model"}],
     "responses": {
      "200": {
       "description": "Every version that the caller may see.",
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Models"}}}
      },
      "401": {"$ref": "#/components/responses/Unauthenticated"},
      "403": {"$ref": "#/components/responses/Denied"},
      "404": {"$ref": "#/components/responses/NotFound"}
     }
    }
   },
   \#(classifyPath("", "", routedParameters)),
   \#(classifyPath("/versions/{version}", "Version", modelParameter + ", " + versionParameter)),
   \#(classifyPath("/aliases/{alias}", "Alias", modelParameter + ", " + aliasParameter)),
   "/classify": {
    "post": {
     "operationId": "classifyText",
     "summary": "The tutorials' form, for the default model.",
     "parameters": [\#(routeKeyParameter), \#(priorityParameter)],
     "requestBody": {
      "required": true,
      "content": {
       "application/json": {
        "schema": {"$ref": "#/components/schemas/Text"},
        "examples": {"digit": {"$ref": "#/components/examples/Text"}}
       }
      }
     },
     "responses": {
      "200": {
       "description": "The probabilities of each row, in the order of the labels.",
       "headers": \#(deprecationHeaders),
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Probabilities"}}}
      },
      \#(callErrors)
     }
    }
   },
   "/v2": {
    "get": {
     "operationId": "inferenceServer",
     "summary": "Open Inference Protocol: the server.",
     "responses": {
      "200": {
       "description": "Its name, version and extensions.",
       "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceServer"}}}
      }
     },
     "security": []
    }
   },
   "/v2/health/live": {
    "get": {
     "operationId": "inferenceLive",
     "summary": "Open Inference Protocol: does the process answer?",
     "responses": {"200": {"description": "Yes; no body."}},
     "security": []
    }
   },
   "/v2/health/ready": {
    "get": {
     "operationId": "inferenceReady",
     "summary": "Open Inference Protocol: may calls be sent here?",
     "responses": {
      "200": {"description": "Yes; no body."},
      "503": {"$ref": "#/components/responses/Unavailable"}
     },
     "security": []
    }
   },
   \#(inferencePaths("", "", routedParameters)),
   \#(inferencePaths("/versions/{version}", "Version", modelParameter + ", " + versionParameter))
  }
  """#

private let modelParameter = ##"{"$ref": "#/components/parameters/model"}"##
private let versionParameter = ##"{"$ref": "#/components/parameters/version"}"##
private let aliasParameter = ##"{"$ref": "#/components/parameters/alias"}"##
private let routeKeyParameter = ##"{"$ref": "#/components/parameters/routeKey"}"##
private let priorityParameter = ##"{"$ref": "#/components/parameters/priority"}"##
/// Where a canary may have its share.
private let routedParameters = modelParameter + ", " + routeKeyParameter

private let deprecationHeaders = ##"""
  {
   "Deprecation": {"$ref": "#/components/headers/Deprecation"},
   "Apus-Deprecated": {"$ref": "#/components/headers/Apus-Deprecated"}
  }
  """##

/// The answers to a call that is not answered 200.
private let callErrors = #"""
  "400": {"$ref": "#/components/responses/BadRequest"},
  "401": {"$ref": "#/components/responses/Unauthenticated"},
  "403": {"$ref": "#/components/responses/Denied"},
  "404": {"$ref": "#/components/responses/NotFound"},
  "408": {"$ref": "#/components/responses/Slow"},
  "413": {"$ref": "#/components/responses/TooLong"},
  "415": {"$ref": "#/components/responses/Coded"},
  "429": {"$ref": "#/components/responses/TooMany"},
  "503": {"$ref": "#/components/responses/Unavailable"},
  "504": {"$ref": "#/components/responses/Late"}
  """#

/// Apus's Classify for one way to choose a version; `suffix` tells its operation from the others.
private func classifyPath(_ path: String, _ suffix: String, _ parameters: String) -> String {
  #"""
  "/v1/models/{model}\#(path):classify": {
   "post": {
    "operationId": "classify\#(suffix)",
    "summary": "Classify one input or a batch.",
    "parameters": [\#(parameters), \#(priorityParameter)],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {"$ref": "#/components/schemas/Classify"},
       "examples": {"digit": {"$ref": "#/components/examples/Classify"}}
      }
     }
    },
    "responses": {
     "200": {
      "description": "The classes of each row.",
      "headers": \#(deprecationHeaders),
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Classified"}}}
     },
     \#(callErrors)
    }
   }
  }
  """#
}

/// The Open Inference Protocol's paths of a model for one way to choose a version.
private func inferencePaths(_ path: String, _ suffix: String, _ parameters: String) -> String {
  #"""
  "/v2/models/{model}\#(path)": {
   "get": {
    "operationId": "inferenceModel\#(suffix)",
    "summary": "Open Inference Protocol: inputs and outputs of a model.",
    "parameters": [\#(parameters)],
    "responses": {
     "200": {
      "description": "Its tensors; -1 is the batch.",
      "headers": \#(deprecationHeaders),
      "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InferenceModel"}}}
     },
     "401": {"$ref": "#/components/responses/Unauthenticated"},
     "403": {"$ref": "#/components/responses/Denied"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/v2/models/{model}\#(path)/ready": {
   "get": {
    "operationId": "inferenceModelReady\#(suffix)",
    "summary": "Open Inference Protocol: may the model be called?",
    "parameters": [\#(parameters)],
    "responses": {
     "200": {"description": "Yes; no body.", "headers": \#(deprecationHeaders)},
     "401": {"$ref": "#/components/responses/Unauthenticated"},
     "403": {"$ref": "#/components/responses/Denied"},
     "404": {"$ref": "#/components/responses/NotFound"},
     "503": {"$ref": "#/components/responses/Unavailable"}
    }
   }
  },
  "/v2/models/{model}\#(path)/infer": {
   "post": {
    "operationId": "infer\#(suffix)",
    "summary": "Open Inference Protocol: classify; JSON alone, or with bytes behind it.",
    "parameters": [\#(parameters), \#(priorityParameter)],
    "requestBody": {
     "required": true,
     "content": {
      "application/json": {
       "schema": {"$ref": "#/components/schemas/Inference"},
       "examples": {
        "digit": {"$ref": "#/components/examples/Inference"},
        "texts": {"$ref": "#/components/examples/InferenceOfTexts"}
       }
      }
     }
    },
    "responses": {
     "200": {
      "description": "The outputs; as bytes behind the JSON where they were asked for so.",
      "headers": \#(deprecationHeaders),
      "content": {
       "application/json": {"schema": {"$ref": "#/components/schemas/InferenceAnswer"}},
       "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
      }
     },
     \#(callErrors)
    }
   }
  }
  """#
}
