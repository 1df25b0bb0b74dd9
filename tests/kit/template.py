"""Prints a CloudFormation template as JSON, with !Ref and the like in their long forms."""

import json
import sys

from cfnlint.decode import cfn_yaml

json.dump(cfn_yaml.load(sys.argv[1]), sys.stdout)
