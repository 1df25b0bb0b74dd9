# A service of peerl workers on Fargate; the same as deploy/cloudformation/ecs.yaml.

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
  discover = {
    ecs      = "ecs:cluster=${var.cluster},revision=@mine"
    cloudmap = "cloudmap:namespace=${var.namespace},service=worker"
  }
}

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
  description       = "The AWS API, the image, other members, and the pages that are fetched"
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
  target_type          = "ip"
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
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

# What ECS itself needs to start a task: the image, the log, and the secret.
resource "aws_iam_role" "execution" {
  name_prefix        = "${var.name}-execution-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "ReadCookie"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.cookie_secret_arn]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "secrets"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "tls" {
  statement {
    sid       = "ReadCertificates"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.tls_node_secret_arn, var.tls_ca_secret_arn]
  }
}

resource "aws_iam_role_policy" "tls" {
  count  = var.tls_node_secret_arn == "" ? 0 : 1
  name   = "certificates"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.tls.json
}

data "aws_iam_policy_document" "page" {
  count = local.page

  statement {
    sid       = "ReadPageToken"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.page_token_secret_arn]
  }
}

resource "aws_iam_role_policy" "page" {
  count  = local.page
  name   = "page-token"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.page[0].json
}

# What the worker needs.
resource "aws_iam_role" "task" {
  name_prefix        = "${var.name}-task-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "ecs" {
  statement {
    sid       = "ListPeers"
    actions   = ["ecs:ListTasks"]
    resources = ["*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = ["arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:cluster/${var.cluster}"]
    }
  }

  statement {
    sid       = "DescribePeers"
    actions   = ["ecs:DescribeTasks"]
    resources = ["arn:${data.aws_partition.current.partition}:ecs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:task/${var.cluster}/*"]
  }
}

data "aws_iam_policy_document" "cloudmap" {
  # Cloud Map has no narrower resource for this action.
  statement {
    sid       = "FindPeers"
    actions   = ["servicediscovery:DiscoverInstances"]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "task" {
  name   = "peerl-worker"
  role   = aws_iam_role.task.id
  policy = var.discovery == "cloudmap" ? data.aws_iam_policy_document.cloudmap.json : data.aws_iam_policy_document.ecs.json
}

resource "aws_cloudwatch_log_group" "worker" {
  name              = "/ecs/${var.name}"
  retention_in_days = 30
}

resource "aws_service_discovery_private_dns_namespace" "cluster" {
  name = var.namespace
  vpc  = var.vpc_id
}

resource "aws_service_discovery_service" "worker" {
  name = "worker"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.cluster.id
    routing_policy = "MULTIVALUE"
    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  health_check_custom_config {
    failure_threshold = 1
  }
}

resource "aws_ecs_task_definition" "worker" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  tags                     = { csrelease = var.release }

  lifecycle {
    precondition {
      condition     = var.tls_node_secret_arn == "" || (var.tls_ca_secret_arn != "" && var.tls_server_name != "")
      error_message = "Nodes verify each other: tls_node_secret_arn needs tls_ca_secret_arn and tls_server_name."
    }
  }

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name                   = "worker"
    image                  = var.image
    essential              = true
    command                = ["worker", "--drain", "${var.drain_seconds}s"]
    user                   = "65532"
    readonlyRootFilesystem = true
    environment = concat([
      { name = "PEERL_NAME", value = "auto:ecs" },
      { name = "PEERL_DISCOVER", value = local.discover[var.discovery] },
      { name = "PEERL_DIST_PORT", value = "9100-9110" },
      { name = "PEERL_LOG_FORMAT", value = "json" },
      # For the health check; reached from inside the container only.
      { name = "PEERL_ADMIN", value = "127.0.0.1:9180" },
      ], var.tls_node_secret_arn == "" ? [] : [
      { name = "PEERL_TLS_SERVER_NAME", value = var.tls_server_name },
      ], var.page_url == "" ? [] : [
      { name = "PEERL_WEB", value = "0.0.0.0:8080" },
      { name = "PEERL_PUBLIC_URL", value = var.page_url },
    ])
    portMappings = var.page_url == "" ? [] : [{ containerPort = 8080 }]
    secrets = concat([{ name = "PEERL_COOKIE", valueFrom = var.cookie_secret_arn }],
      var.tls_node_secret_arn == "" ? [] : [
        { name = "PEERL_TLS_CERT", valueFrom = var.tls_node_secret_arn },
        { name = "PEERL_TLS_CA", valueFrom = var.tls_ca_secret_arn },
    ],
    var.page_url == "" ? [] : [{ name = "PEERL_TOKEN", valueFrom = var.page_token_secret_arn }])
    healthCheck = {
      command     = ["CMD", "/usr/bin/peerl", "health"]
      interval    = 15
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    # Longer than --drain: a worker that is told to end answers the calls under way.
    stopTimeout = var.drain_seconds + 10
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.worker.name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "worker"
      }
    }
  }])
}

resource "aws_ecs_service" "worker" {
  name                               = var.name
  cluster                            = var.cluster
  task_definition                    = aws_ecs_task_definition.worker.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.desired_count
  propagate_tags                     = "TASK_DEFINITION"
  enable_ecs_managed_tags            = true
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.members.id]
    assign_public_ip = var.assign_public_ip
  }

  service_registries {
    registry_arn = aws_service_discovery_service.worker.arn
  }

  dynamic "load_balancer" {
    for_each = aws_lb_target_group.page
    content {
      container_name   = "worker"
      container_port   = 8080
      target_group_arn = load_balancer.value.arn
    }
  }

  depends_on = [
    aws_iam_role_policy.task,
    aws_iam_role_policy.execution,
    aws_iam_role_policy.tls,
    aws_iam_role_policy.page,
    aws_iam_role_policy_attachment.execution,
    aws_vpc_security_group_ingress_rule.epmd,
    aws_vpc_security_group_ingress_rule.distribution,
    aws_vpc_security_group_ingress_rule.page,
    aws_lb_listener.page,
    aws_vpc_security_group_egress_rule.all,
  ]
}
