/// What bodies hold.
let openAPISchemas = #"""
  {
   "Nested": {
    "description": "Numbers or texts, nested in arrays as their shape is.",
    "anyOf": [
     {"type": "number"},
     {"type": "string"},
     {"type": "array", "items": {"$ref": "#/components/schemas/Nested"}}
    ]
   },
   "Classify": {
    "type": "object",
    "required": ["inputs"],
    "properties": {
     "inputs": {"$ref": "#/components/schemas/Nested"},
     "top_k": {
      "type": "integer",
      "minimum": 0,
      "maximum": 9007199254740992,
      "description": "So many classes of each row; 0: all."
     },
     "scores": {"type": "boolean", "description": "The model's raw outputs too."},
     "timeout_ms": {"type": "number", "description": "From the request's first byte; 0: no limit."}
    },
    "additionalProperties": false
   },
   "Text": {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"$ref": "#/components/schemas/Nested"}}
   },
   "Probabilities": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
   "Classified": {
    "type": "object",
    "required": ["model", "version", "digest", "results", "timing_ns"],
    "properties": {
     "model": {"type": "string"},
     "version": {"type": "integer", "minimum": 0},
     "digest": {"type": "string"},
     "deprecated": {"type": "string", "description": "Why to leave this version; absent: it is current."},
     "results": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["classes"],
       "properties": {
        "classes": {
         "type": "array",
         "items": {
          "type": "object",
          "required": ["index", "label", "probability"],
          "properties": {
           "index": {"type": "integer", "minimum": 0},
           "label": {"type": "string"},
           "probability": {"type": ["number", "null"]}
          }
         }
        },
        "scores": {"type": "array", "items": {"type": ["number", "null"]}}
       }
      }
     },
     "timing_ns": {
      "type": "object",
      "required": ["total", "queue", "compute"],
      "properties": {
       "total": {"type": "integer", "minimum": 0},
       "queue": {"type": "integer", "minimum": 0},
       "compute": {"type": "integer", "minimum": 0}
      }
     }
    }
   },
   "Models": {
    "type": "object",
    "required": ["models"],
    "properties": {
     "models": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name", "version", "state", "reason", "format", "digest", "aliases"],
       "properties": {
        "name": {"type": "string"},
        "version": {"type": "integer", "minimum": 0},
        "state": {
         "enum": ["loading", "warming", "ready", "draining", "unloaded", "withdrawn", "failed"]
        },
        "reason": {"type": "string", "description": "Why it failed; else empty."},
        "format": {"type": "string"},
        "digest": {"type": "string", "description": "Of its files; empty: not known."},
        "aliases": {"type": "array", "items": {"type": "string"}},
        "signature": {
         "type": "string",
         "pattern": "^sha256:[0-9a-f]{64}$",
         "description": "Of inputs, outputs and labels: versions of the same one can stand for each other."
        },
        "architecture": {"type": "string"},
        "parameters": {"type": "integer", "minimum": 1, "description": "Numbers that training set."},
        "max_batch_rows": {"type": "integer", "minimum": 1, "description": "Most rows of one call."},
        "memory_bytes": {"type": "integer", "minimum": 1, "description": "Of weights, while it is loaded."},
        "deprecated": {"type": "string", "description": "Why to leave it; absent: it is current."},
        "weight": {
         "type": "number",
         "exclusiveMinimum": 0,
         "maximum": 100,
         "description": "Per cent of the model's calls without version and alias that it gets, as a canary."
        },
        "shadow": {"const": true, "description": "The calls without version and alias are mirrored to it."},
        "published_by": {"type": "string", "description": "Absent: the folder was placed by hand."},
        "published_at": {"type": "string", "format": "date-time", "description": "In UTC."},
        "source": {"type": "string", "description": "What it was published from."},
        "signed_by": {"type": "string", "description": "The trusted key that signed it."}
       }
      }
     }
    }
   },
   "Server": {
    "type": "object",
    "required": ["name", "version", "protocols"],
    "properties": {
     "name": {"const": "apus"},
     "version": {"type": "string"},
     "protocols": {
      "type": "object",
      "required": ["rpc", "rest", "open_inference"],
      "description": "Versions of RPC's frames, of what is under /v1, and of what is under /v2.",
      "additionalProperties": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}
     }
    }
   },
   "InferenceServer": {
    "type": "object",
    "required": ["name", "version", "extensions"],
    "properties": {
     "name": {"type": "string"},
     "version": {"type": "string"},
     "extensions": {"type": "array", "items": {"type": "string"}}
    }
   },
   "InferenceModel": {
    "type": "object",
    "required": ["name", "versions", "platform", "inputs", "outputs"],
    "properties": {
     "name": {"type": "string"},
     "versions": {
      "type": "array",
      "items": {"type": "string"},
      "description": "That may be called; on a path with a version that one."
     },
     "platform": {"type": "string"},
     "inputs": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name", "datatype", "shape"],
       "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}}
       }
      }
     },
     "outputs": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name", "datatype", "shape"],
       "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}}
       }
      }
     }
    }
   },
   "Inference": {
    "type": "object",
    "required": ["inputs"],
    "properties": {
     "id": {"type": "string"},
     "parameters": {
      "type": "object",
      "properties": {
       "binary_data_output": {"type": "boolean"},
       "timeout": {"type": "number", "description": "Microseconds."}
      }
     },
     "inputs": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name", "shape", "datatype"],
       "properties": {
        "name": {"enum": ["input", "text"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 8},
        "datatype": {
         "enum": ["FP32", "BYTES"],
         "description": "BYTES are texts, for models that take them, of shape (n) or (n, 1)."
        },
        "data": {"$ref": "#/components/schemas/Nested"},
        "parameters": {
         "type": "object",
         "properties": {"binary_data_size": {"type": "integer", "minimum": 0}}
        }
       }
      },
      "minItems": 1,
      "maxItems": 1
     },
     "outputs": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name"],
       "properties": {
        "name": {"enum": ["probabilities", "scores"]},
        "parameters": {
         "type": "object",
         "properties": {
          "binary_data": {"type": "boolean"},
          "classification": {"type": "integer", "minimum": 0}
         }
        }
       }
      },
      "maxItems": 64
     }
    }
   },
   "InferenceAnswer": {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
     "model_name": {"type": "string"},
     "model_version": {"type": "string"},
     "id": {"type": "string"},
     "outputs": {
      "type": "array",
      "items": {
       "type": "object",
       "required": ["name", "datatype", "shape"],
       "properties": {
        "name": {"type": "string"},
        "datatype": {"enum": ["FP32", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "data": {"type": "array", "items": {"type": ["number", "string", "null"]}},
        "parameters": {
         "type": "object",
         "properties": {"binary_data_size": {"type": "integer", "minimum": 0}}
        }
       }
      }
     }
    }
   },
   "Problem": {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "reason", "error"],
    "properties": {
     "type": {"type": "string"},
     "title": {"type": "string"},
     "status": {"type": "integer"},
     "detail": {"type": "string", "description": "What is wrong and what to do."},
     "code": {"type": "string", "description": "As RPC's status."},
     "reason": {"type": "string", "description": "For programs."},
     "error": {
      "type": "string",
      "description": "`detail` again, where clients of the Open Inference Protocol look."
     }
    }
   }
  }
  """#
