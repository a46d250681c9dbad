#!/usr/bin/python3
"""A gRPC client that knows nothing of noded: it learns services and messages by server reflection.

usage: grpc_client.py [flags] TARGET list
       grpc_client.py [flags] TARGET describe SYMBOL
       grpc_client.py [flags] TARGET call SERVICE/METHOD [REQUEST_JSON…]

TARGET is unix:///path or host:port. More than one request is for streams. Each response is printed as one
line of JSON. An error is printed as one line {"code", "message", "details"} and ends with status 1.
Needs Debian's python3-grpcio and python3-protobuf.

flags: --deadline SECONDS       give up after that long
       --responses N            cancel the call after N responses
       --cert F --key F --ca F  mutual TLS
"""

import argparse
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflection_messages():
    """The few fields of grpc/reflection/v1alpha/reflection.proto that are used here."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="reflection.proto", package="r", syntax="proto3")

    def message(name, *fields):
        added = file.message_type.add(name=name)
        for number, label, kind, type_name, field_name in fields:
            added.field.add(number=number, label=label, type=kind, name=field_name,
                            type_name=type_name and ".r." + type_name)

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    text, raw, sub, integer = field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE, field.TYPE_INT32
    message("Request", (3, one, text, None, "file_by_filename"),
            (4, one, text, None, "file_containing_symbol"), (7, one, text, None, "list_services"))
    message("Files", (1, many, raw, None, "file"))
    message("Service", (1, one, text, None, "name"))
    message("Services", (1, many, sub, "Service", "service"))
    message("Error", (1, one, integer, None, "code"), (2, one, text, None, "message"))
    message("Response", (4, one, sub, "Files", "files"), (6, one, sub, "Services", "services"),
            (7, one, sub, "Error", "error"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName("r." + name)) for name in ("Request", "Response")]


class Reflection:
    """What the server tells of itself, in a pool of descriptors that starts empty."""

    def __init__(self, channel):
        self.request, response = reflection_messages()
        self.stream = channel.stream_stream(REFLECTION, self.request.SerializeToString, response.FromString)
        self.pool = descriptor_pool.DescriptorPool()
        self.known = set()

    def ask(self, **question):
        answer = next(iter(self.stream(iter([self.request(**question)]), timeout=20)))
        if answer.HasField("error"):
            raise LookupError(f"{question}: {answer.error.message}")
        return answer

    def services(self):
        return [service.name for service in self.ask(list_services="*").services.service]

    def learn(self, **question):
        files = [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in self.ask(**question).files.file]
        waiting = {file.name: file for file in files}

        def add(name):
            if name in self.known:
                return
            if name not in waiting:
                self.learn(file_by_filename=name)
                return
            for dependency in waiting[name].dependency:
                add(dependency)
            self.known.add(name)
            self.pool.Add(waiting[name])

        for file in files:
            add(file.name)

    def symbol(self, name, find):
        try:
            return find(name)
        except KeyError:
            self.learn(file_containing_symbol=name)
            return find(name)

    def message(self, name):
        descriptor = self.symbol(name, self.pool.FindMessageTypeByName)
        return message_factory.MessageFactory(self.pool).GetPrototype(descriptor)

    def details(self, raw):
        """google.rpc.Status of the trailers, as a list of objects with @type."""
        status = self.message("google.rpc.Status").FromString(raw)
        told = []
        for detail in status.details:
            name = detail.type_url.rsplit("/", 1)[-1]
            value = self.message(name).FromString(detail.value)
            told.append({"@type": name, **json_format.MessageToDict(value)})
        return told


def open_channel(args):
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    if not args.ca:
        return grpc.insecure_channel(args.target, options)

    def content(path):
        if not path:
            return None
        with open(path, "rb") as file:
            return file.read()

    return grpc.secure_channel(args.target, grpc.ssl_channel_credentials(
        content(args.ca), content(args.key), content(args.cert)), options)


def call(channel, reflection, args):
    service_name, method_name = args.argument[0].rsplit("/", 1)
    service = reflection.symbol(service_name, reflection.pool.FindServiceByName)
    method = service.FindMethodByName(method_name)
    request_class = reflection.message(method.input_type.full_name)
    response_class = reflection.message(method.output_type.full_name)
    requests = [json_format.Parse(text, request_class(), descriptor_pool=reflection.pool)
                for text in args.argument[1:] or ["{}"]]
    # The streaming form serves all four kinds of call: they do not differ on the wire.
    stream = channel.stream_stream(f"/{service_name}/{method_name}", request_class.SerializeToString,
                                   response_class.FromString)
    responses = stream(iter(requests), timeout=args.deadline)
    count = 0
    for response in responses:
        print(json.dumps(json_format.MessageToDict(response, descriptor_pool=reflection.pool)), flush=True)
        count += 1
        if count == args.responses:
            responses.cancel()
            return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deadline", type=float, default=60)
    parser.add_argument("--responses", type=int, default=0)
    for flag in ("--cert", "--key", "--ca"):
        parser.add_argument(flag)
    parser.add_argument("target")
    parser.add_argument("verb", choices=("list", "describe", "call"))
    parser.add_argument("argument", nargs="*")
    args = parser.parse_args()
    with open_channel(args) as channel:
        reflection = Reflection(channel)
        try:
            if args.verb == "list":
                print("\n".join(sorted(reflection.services())))
            elif args.verb == "describe":
                reflection.learn(file_containing_symbol=args.argument[0])
                print("\n".join(sorted(reflection.known)))
            else:
                call(channel, reflection, args)
        except grpc.RpcError as error:
            details = []
            for key, value in error.trailing_metadata() or ():
                if key == "grpc-status-details-bin":
                    details = reflection.details(value)
            print(json.dumps({"code": error.code().name, "message": error.details(), "details": details}))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
