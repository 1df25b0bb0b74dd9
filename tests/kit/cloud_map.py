"""Takes the Cloud Map resources out of a CloudFormation template.

The stand-in's CloudFormation knows no AWS::ServiceDiscovery resources: those are made from the template's properties
by the API itself, and their attributes put in their places.
"""

import json

import boto3
import conditions
from cfnlint.decode import cfn_yaml


def taken_out(path, given):
    """The template without these resources, and what has been made of them, for parameters with their values."""
    template = conditions.decided(json.loads(json.dumps(cfn_yaml.load(path))), given)
    defaults = {key: it.get("Default") for key, it in template["Parameters"].items()}
    discovery = boto3.client("servicediscovery")
    made = {}
    for key, resource in list(template["Resources"].items()):
        kind = resource["Type"].removeprefix("AWS::ServiceDiscovery::")
        if kind == resource["Type"]:
            continue
        del template["Resources"][key]
        properties = resource["Properties"]
        if kind == "PrivateDnsNamespace":
            properties = filled(properties, given, defaults)
            discovery.create_private_dns_namespace(**properties)
            listed = discovery.list_namespaces()["Namespaces"]
            made[key] = next(it for it in listed if it["Name"] == properties["Name"])
        elif kind == "Service":
            properties = dict(properties, NamespaceId=made[properties["NamespaceId"]["Ref"]]["Id"])
            made[key] = discovery.create_service(**filled(properties, given, defaults))["Service"]
        else:
            raise SystemExit(f"{kind} is new here")
    return attributes(template, made), made


def filled(value, given, defaults):
    """A property with parameters in their places."""
    if isinstance(value, dict):
        if "Ref" in value:
            return given.get(value["Ref"], defaults.get(value["Ref"]))
        return {key: filled(it, given, defaults) for key, it in value.items()}
    return [filled(it, given, defaults) for it in value] if isinstance(value, list) else value


def attributes(value, of):
    """A part of the template in which a resource's attributes are texts."""
    if isinstance(value, dict):
        got = value.get("Fn::GetAtt")
        if got and got[0] in of:
            return of[got[0]][got[1]]
        return {key: attributes(it, of) for key, it in value.items()}
    return [attributes(it, of) for it in value] if isinstance(value, list) else value
