"""Encodes and decodes the few messages of the Mesos v1 executor API that the bench needs, as JSON or protobuf. In Python they
are dicts with the keys of the JSON form. The field numbers are from mesos/v1/mesos.proto and mesos/v1/executor/executor.proto
of Mesos 1.11.0."""
import base64
import json
import struct

PROTOBUF, JSON = "application/x-protobuf", "application/json"

CALL = {"SUBSCRIBE": 1, "UPDATE": 2, "MESSAGE": 3}
EVENT = {"SUBSCRIBED": 1, "LAUNCH": 2, "KILL": 3, "ACKNOWLEDGED": 4}
STATE = {"TASK_STARTING": 0, "TASK_RUNNING": 1, "TASK_FINISHED": 2, "TASK_FAILED": 3, "TASK_KILLED": 4, "TASK_LOST": 5,
         "TASK_STAGING": 6, "TASK_ERROR": 7, "TASK_KILLING": 8}
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR"}

# Message -> field -> (number, type). A type is another message, "text", "bytes" (base64 in JSON), "number", "double" or an
# enumeration. Numbers and doubles can only be encoded. Unknown fields are skipped.
MESSAGES = {
    "Id": {"value": (1, "text")},
    "Call": {"executor_id": (1, "Id"), "type": (3, CALL), "update": (5, "Update"), "message": (6, "Message")},
    "Update": {"status": (1, "Status")},
    "Status": {"task_id": (1, "Id"), "state": (2, STATE), "data": (3, "bytes"), "uuid": (11, "bytes")},
    "Message": {"data": (2, "bytes")},
    "Event": {"type": (1, EVENT), "subscribed": (2, "Subscribed"), "acknowledged": (3, "Acknowledged"),
              "launch": (4, "Launch"), "kill": (5, "Kill")},
    "Subscribed": {"executor_info": (1, "ExecutorInfo"), "framework_info": (2, "FrameworkInfo"),
                   "agent_info": (3, "AgentInfo")},
    "ExecutorInfo": {"executor_id": (1, "Id")},
    "FrameworkInfo": {"user": (1, "text"), "name": (2, "text"), "id": (3, "Id")},
    "AgentInfo": {"hostname": (1, "text"), "id": (6, "Id")},
    "Acknowledged": {"task_id": (1, "Id"), "uuid": (2, "bytes")},
    "Launch": {"task": (1, "TaskInfo")},
    "TaskInfo": {"name": (1, "text"), "task_id": (2, "Id"), "agent_id": (3, "Id"), "data": (6, "bytes"),
                 "health_check": (8, "HealthCheck"), "check": (13, "CheckInfo")},
    "Port": {"port": (1, "number")},
    "HealthCheck": {"http": (1, "Port"), "delay_seconds": (2, "double"), "interval_seconds": (3, "double")},
    "CheckInfo": {"delay_seconds": (4, "double"), "interval_seconds": (5, "double"), "tcp": (7, "Port")},
    "Kill": {"task_id": (1, "Id")},
}


def encoded(message, fields, form):
    """Encodes a message; `form` is PROTOBUF or JSON."""
    return json.dumps(fields).encode() if form == JSON else _protobuf(message, fields)


def decoded(message, data, form):
    """Decodes a message; the opposite of `encoded`."""
    return json.loads(data) if form == JSON else _fields(message, data)


def _varint(number):
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _protobuf(message, fields):
    data = b""
    for name, value in fields.items():
        number, kind = MESSAGES[message][name]
        if isinstance(kind, dict):
            data += _varint(number << 3) + _varint(kind[value])
            continue
        if kind == "number":
            data += _varint(number << 3) + _varint(value)
            continue
        if kind == "double":
            data += _varint(number << 3 | 1) + struct.pack("<d", value)
            continue
        value = {"text": str.encode, "bytes": base64.b64decode}.get(kind, lambda inner: _protobuf(kind, inner))(value)
        data += _varint(number << 3 | 2) + _varint(len(value)) + value
    return data


def _fields(message, data):
    known = {number: (name, kind) for name, (number, kind) in MESSAGES[message].items()}
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value
    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
        else:
            size = number() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
            value, at = data[at:at + size], at + size
        name, kind = known.get(tag >> 3, (None, None))
        if isinstance(kind, dict):
            fields[name] = next(word for word, code in kind.items() if code == value)
        elif kind == "text":
            fields[name] = value.decode()
        elif kind == "bytes":
            fields[name] = base64.b64encode(value).decode()
        elif kind:
            fields[name] = _fields(kind, value)
    return fields
