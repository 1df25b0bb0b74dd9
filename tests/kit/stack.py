"""Deploys a CloudFormation template into the AWS of the environment, and prints what has become of it as JSON.

stack.py NAME TEMPLATE KEY=VALUE…

A VPC, subnets, an image, an ECS cluster and a certificate are there for the template; {vpc}, {subnets}, {image}, {group}
(a security group) and {certificate} in values are theirs. If the stack is there, it is updated.

cloud_map.py takes out what the stand-in's CloudFormation does not know.
"""

import json
import sys

import boto3
import cloud_map

name, path, *parameters = sys.argv[1:]
ec2, ecs, iam = boto3.client("ec2"), boto3.client("ecs"), boto3.client("iam")
groups, formation = boto3.client("autoscaling"), boto3.client("cloudformation")
balancing = boto3.client("elbv2")

vpcs = ec2.describe_vpcs(Filters=[{"Name": "tag:for", "Values": ["stack"]}])["Vpcs"]
if vpcs:
    vpc = vpcs[0]["VpcId"]
else:
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "for", "Value": "stack"}])
    for number, zone in enumerate(ec2.describe_availability_zones()["AvailabilityZones"][:2]):
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{number}.0/24", AvailabilityZone=zone["ZoneName"])
    ecs.create_cluster(clusterName="cluster")
certificates = boto3.client("acm")
if not certificates.list_certificates()["CertificateSummaryList"]:
    certificates.request_certificate(DomainName="checksums.example.org")
subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
there = {
    "vpc": vpc,
    "subnets": ",".join(subnet["SubnetId"] for subnet in subnets),
    "image": ec2.describe_images()["Images"][0]["ImageId"],
    "group": ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"][0]["GroupId"],
    "certificate": certificates.list_certificates()["CertificateSummaryList"][0]["CertificateArn"],
}

given = {key: value.format(**there) for key, value in (parameter.split("=", 1) for parameter in parameters)}
template, made = cloud_map.taken_out(path, given)

arguments = {
    "StackName": name,
    "TemplateBody": json.dumps(template),
    "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    "Capabilities": ["CAPABILITY_IAM"],
}
try:
    formation.describe_stacks(StackName=name)
except formation.exceptions.ClientError:
    formation.create_stack(**arguments)
else:
    formation.update_stack(**arguments)

stack = formation.describe_stacks(StackName=name)["Stacks"][0]
# The stand-in also lists what a condition leaves out, without a name.
resources = formation.describe_stack_resources(StackName=name)["StackResources"]
resources = [it for it in resources if "LogicalResourceId" in it]


def ids(kind):
    return [it["PhysicalResourceId"] for it in resources if it["ResourceType"] == kind]


def policies(role):
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {
        "inline": [iam.get_role_policy(RoleName=role, PolicyName=it)["PolicyDocument"] for it in inline],
        "attached": [it["PolicyArn"] for it in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]],
        "trust": iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
        "arn": iam.get_role(RoleName=role)["Role"]["Arn"],
    }


by_kind = {it["LogicalResourceId"]: it.get("PhysicalResourceId") for it in resources}
roles = {it["LogicalResourceId"]: policies(it["PhysicalResourceId"]) for it in resources if it["ResourceType"] == "AWS::IAM::Role"}
result = {
    "status": stack["StackStatus"],
    "outputs": {it["OutputKey"]: it["OutputValue"] for it in stack.get("Outputs", [])},
    "resources": by_kind,
    "roles": roles,
    "security_groups": ec2.describe_security_groups(GroupIds=ids("AWS::EC2::SecurityGroup"))["SecurityGroups"],
    "launch_templates": [
        ec2.describe_launch_template_versions(LaunchTemplateId=it, Versions=["$Latest"])["LaunchTemplateVersions"][0]
        for it in ids("AWS::EC2::LaunchTemplate")
    ],
    "groups": [
        group
        for it in ids("AWS::AutoScaling::AutoScalingGroup")
        for group in groups.describe_auto_scaling_groups(AutoScalingGroupNames=[it])["AutoScalingGroups"]
    ],
    "task_definitions": [
        ecs.describe_task_definition(taskDefinition=it, include=["TAGS"]) for it in ids("AWS::ECS::TaskDefinition")
    ],
    "load_balancers": [
        balancing.describe_load_balancers(LoadBalancerArns=[it])["LoadBalancers"][0]
        for it in ids("AWS::ElasticLoadBalancingV2::LoadBalancer")
    ],
    "target_groups": [
        balancing.describe_target_groups(TargetGroupArns=[it])["TargetGroups"][0]
        for it in ids("AWS::ElasticLoadBalancingV2::TargetGroup")
    ],
    "listeners": [
        balancing.describe_listeners(ListenerArns=[it])["Listeners"][0]
        for it in ids("AWS::ElasticLoadBalancingV2::Listener")
    ],
    "discovery": made,
    "services": [
        service
        for it in ids("AWS::ECS::Service")
        for service in ecs.describe_services(cluster="cluster", services=[it])["services"]
    ],
}
members = [instance["InstanceId"] for group in result["groups"] for instance in group["Instances"]]
result["instances"] = [
    instance
    for reservation in (ec2.describe_instances(InstanceIds=members)["Reservations"] if members else [])
    for instance in reservation["Instances"]
]
sts = boto3.client("sts")
for role in roles.values():
    # As an instance or a task would have them.
    role["credentials"] = sts.assume_role(RoleArn=role["arn"], RoleSessionName="test")["Credentials"]
json.dump(result, sys.stdout, default=str)
