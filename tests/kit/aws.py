"""Those commands of the command line of AWS for which the stand-in lacks something: Cloud Map in CloudFormation, and
Fargate.

aws.py cloudformation deploy OPTION…
aws.py ecs run-task OPTION…
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import boto3
import cloud_map

arguments = sys.argv[1:]
program = os.path.join(os.path.dirname(sys.executable), "aws")


def option(name):
    return arguments.index(name) + 1


if arguments[:2] == ["cloudformation", "deploy"]:
    values = arguments[option("--parameter-overrides"):]
    path = arguments[option("--template-file")]
    template, _ = cloud_map.taken_out(path, dict(value.split("=", 1) for value in values))
    for resource in template["Resources"].values():
        # The stand-in adds up the memory of the containers, which Fargate need not be told.
        for container in resource["Properties"].get("ContainerDefinitions", []):
            container.setdefault("Memory", 128)
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(template, file)
    arguments[option("--template-file")] = file.name
    status = subprocess.run([program, *arguments]).returncode
    os.unlink(file.name)
    raise SystemExit(status)

if arguments[:2] == ["ecs", "run-task"]:
    run = subprocess.run([program, *arguments], capture_output=True, text=True)
    sys.stdout.write(run.stdout)
    sys.stderr.write(run.stderr)
    if run.returncode == 0:
        # The task ends at once, and what it would have done is in its log: the command that it was given.
        cluster = arguments[option("--cluster")]
        boto3.client("ecs").stop_task(cluster=cluster, task=run.stdout.strip())
        override = json.loads(arguments[option("--overrides")])["containerOverrides"][0]
        container = override["name"]
        logs = boto3.client("logs")
        group = f"/ecs/{arguments[option('--task-definition')]}"
        stream = f"{container}/{container}/{run.stdout.strip().rsplit('/', 1)[1]}"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": int(time.time() * 1000), "message": json.dumps(override["command"])}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])
    raise SystemExit(run.returncode)

raise SystemExit(f"{arguments[:2]} is not for here")
