# A group of peerl workers that find each other by the tag csrelease; the same as deploy/cloudformation/ec2.yaml.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40, < 7.0"
    }
  }
}

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

# The only way to EPMD and to the nodes is from another member. Put the BEAM nodes of the cluster into it, too.
resource "aws_security_group" "members" {
  name_prefix = "${var.name}-members-"
  description = "Members of the Erlang cluster"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-members" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "epmd" {
  security_group_id            = aws_security_group.members.id
  referenced_security_group_id = aws_security_group.members.id
  ip_protocol                  = "tcp"
  from_port                    = 4369
  to_port                      = 4369
  description                  = "EPMD, for members"
}

resource "aws_vpc_security_group_ingress_rule" "distribution" {
  security_group_id            = aws_security_group.members.id
  referenced_security_group_id = aws_security_group.members.id
  ip_protocol                  = "tcp"
  from_port                    = 9100
  to_port                      = 9110
  description                  = "Erlang distribution, for members"
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.members.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  description       = "The AWS API, other members, and the pages that are fetched"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "worker" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "worker" {
  # EC2 knows no narrower resource for this.
  statement {
    sid       = "FindPeers"
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"]
  }

  statement {
    sid       = "ReadCookie"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${data.aws_partition.current.partition}:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter${var.cookie_parameter}"]
  }

  statement {
    sid       = "SayThatItIsReadyOrHasDrained"
    actions   = ["autoscaling:CompleteLifecycleAction"]
    resources = ["arn:${data.aws_partition.current.partition}:autoscaling:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.name}"]
  }

  # Only the instance that asks, and only this tag.
  statement {
    sid       = "TagItselfWhenItDrains"
    actions   = ["ec2:CreateTags"]
    resources = ["arn:${data.aws_partition.current.partition}:ec2:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:instance/*"]

    condition {
      test     = "ArnEquals"
      variable = "ec2:SourceInstanceARN"
      values   = ["arn:${data.aws_partition.current.partition}:ec2:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:instance/$${ec2:InstanceID}"]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "aws:TagKeys"
      values   = ["peerl:draining"]
    }
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "peerl-worker"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count      = var.session_manager ? 1 : 0
  role       = aws_iam_role.worker.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "worker" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.worker.name
}

resource "aws_launch_template" "worker" {
  name_prefix            = "${var.name}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.members.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.worker.arn
  }

  # Version 2 only, not for what is a hop away (containers), and with the tags, from which a worker knows its release.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = 8
      encrypted             = true
      delete_on_termination = true
    }
  }

  # Of the same version as the image: an instance that a roll-back starts has the tag of the release that it runs.
  tag_specifications {
    resource_type = "instance"
    tags = {
      csrelease = var.release
      Name      = "${var.name}-${var.release}"
    }
  }

  user_data = base64encode(templatefile("${path.module}/user-data.sh.tftpl", {
    release          = var.release
    name             = var.name
    drain_seconds    = var.drain_seconds
    cookie_parameter = var.cookie_parameter
  }))
}

resource "aws_autoscaling_group" "workers" {
  name                      = var.name
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = var.min_size
  max_size                  = var.max_size
  health_check_type         = "EC2"
  health_check_grace_period = 120

  launch_template {
    id      = aws_launch_template.worker.id
    version = aws_launch_template.worker.latest_version
  }

  # A new release is a new version of the launch template. New instances are started before old ones end, so that as
  # many as are desired stay in service. If they do not get ready, the old ones stay and the group is rolled back.
  # Instances of the old release and of the new one do not see each other.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
      instance_warmup        = 60
      auto_rollback          = true
    }
  }

  # Holds a new instance until its worker is ready (ec2-lifecycle --launched); it is in service only then.
  initial_lifecycle_hook {
    name                 = "ready"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }

  # Holds an instance until its worker has drained (peerl-lifecycle.service), or has had the time for it.
  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = var.drain_seconds + 30
    default_result       = "CONTINUE"
  }

  depends_on = [
    aws_iam_role_policy.worker,
    aws_vpc_security_group_ingress_rule.epmd,
    aws_vpc_security_group_ingress_rule.distribution,
    aws_vpc_security_group_egress_rule.all,
  ]
}
