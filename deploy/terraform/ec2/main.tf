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

locals {
  page = var.page_url == "" ? 0 : 1
}

# EPMD and the nodes can be reached from other members only. Add the BEAM nodes of the cluster to this group, too.
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

# The web page: a load balancer with TLS, for the visitors named, in front of all workers. Any worker answers for any
# job; during a release, when old and new workers are two clusters, a visitor stays with one.
resource "aws_security_group" "page" {
  count       = local.page
  name_prefix = "${var.name}-visitors-"
  description = "Visitors of the web page"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-visitors" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "visitors" {
  count             = local.page
  security_group_id = aws_security_group.page[0].id
  cidr_ipv4         = var.page_visitors
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "HTTPS, for visitors"
}

resource "aws_vpc_security_group_egress_rule" "page" {
  count                        = local.page
  security_group_id            = aws_security_group.page[0].id
  referenced_security_group_id = aws_security_group.members.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
  description                  = "The workers' web page"
}

resource "aws_vpc_security_group_ingress_rule" "page" {
  count                        = local.page
  security_group_id            = aws_security_group.members.id
  referenced_security_group_id = aws_security_group.page[0].id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
  description                  = "The web page, for its load balancer"
}

resource "aws_lb" "page" {
  count                      = local.page
  load_balancer_type         = "application"
  internal                   = var.page_scheme == "internal"
  subnets                    = length(var.page_subnet_ids) > 0 ? var.page_subnet_ids : var.subnet_ids
  security_groups            = [aws_security_group.page[0].id]
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "page" {
  count                = local.page
  vpc_id               = var.vpc_id
  target_type          = "instance"
  protocol             = "HTTP"
  port                 = 8080
  deregistration_delay = 30

  # Answered without a login.
  health_check {
    path                = "/"
    matcher             = "200"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  stickiness {
    type = "lb_cookie"
  }
}

resource "aws_lb_listener" "page" {
  count             = local.page
  load_balancer_arn = aws_lb.page[0].arn
  protocol          = "HTTPS"
  port              = 443
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.page_certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.page[0].arn
  }
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
  # EC2 has no narrower resource for this action.
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

  # Only the instance that makes the request, and only this tag.
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

data "aws_iam_policy_document" "tls" {
  statement {
    sid     = "ReadCertificates"
    actions = ["ssm:GetParameter"]
    resources = [
      "arn:${data.aws_partition.current.partition}:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter${var.tls_node_parameter}",
      "arn:${data.aws_partition.current.partition}:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter${var.tls_ca_parameter}",
    ]
  }
}

resource "aws_iam_role_policy" "tls" {
  count  = var.tls_node_parameter == "" ? 0 : 1
  name   = "peerl-tls"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.tls.json
}

data "aws_iam_policy_document" "page" {
  statement {
    sid       = "ReadPageToken"
    actions   = ["ssm:GetParameter"]
    resources = ["arn:${data.aws_partition.current.partition}:ssm:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:parameter${var.page_token_parameter}"]
  }
}

resource "aws_iam_role_policy" "page" {
  count  = local.page
  name   = "peerl-page"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.page.json
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
  lifecycle {
    precondition {
      condition     = var.tls_node_parameter == "" || (var.tls_ca_parameter != "" && var.tls_server_name != "")
      error_message = "Nodes verify each other: tls_node_parameter needs tls_ca_parameter and tls_server_name."
    }
  }

  name_prefix            = "${var.name}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.members.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.worker.arn
  }

  # Version 2 only, no further hop (containers), and with the instance's tags: a worker reads its release from them.
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

  # The tag and the image are of one version of the template: after a rollback, instances have the tag of the release that they run.
  tag_specifications {
    resource_type = "instance"
    tags = {
      csrelease = var.release
      Name      = "${var.name}-${var.release}"
    }
  }

  user_data = base64encode(templatefile("${path.module}/user-data.sh.tftpl", {
    release              = var.release
    name                 = var.name
    drain_seconds        = var.drain_seconds
    cookie_parameter     = var.cookie_parameter
    tls_node_parameter   = var.tls_node_parameter
    tls_ca_parameter     = var.tls_ca_parameter
    tls_server_name      = var.tls_server_name
    page_url             = var.page_url
    page_token_parameter = var.page_token_parameter
  }))
}

resource "aws_autoscaling_group" "workers" {
  name                      = var.name
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = var.min_size
  max_size                  = var.max_size
  target_group_arns         = aws_lb_target_group.page[*].arn
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
    aws_iam_role_policy.tls,
    aws_iam_role_policy.page,
    aws_vpc_security_group_ingress_rule.epmd,
    aws_vpc_security_group_ingress_rule.distribution,
    aws_vpc_security_group_ingress_rule.page,
    aws_lb_listener.page,
    aws_vpc_security_group_egress_rule.all,
  ]
}
