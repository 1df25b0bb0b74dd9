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
  name   = "cookie"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
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
  # Cloud Map knows no narrower resource for this.
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
    environment = [
      { name = "PEERL_NAME", value = "auto:ecs" },
      { name = "PEERL_DISCOVER", value = local.discover[var.discovery] },
      { name = "PEERL_DIST_PORT", value = "9100-9110" },
      { name = "PEERL_LOG_FORMAT", value = "json" },
      # For the health check; reached from inside the container only.
      { name = "PEERL_ADMIN", value = "127.0.0.1:9180" },
    ]
    secrets = [{ name = "PEERL_COOKIE", valueFrom = var.cookie_secret_arn }]
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

  depends_on = [
    aws_iam_role_policy.task,
    aws_iam_role_policy.execution,
    aws_iam_role_policy_attachment.execution,
    aws_vpc_security_group_ingress_rule.epmd,
    aws_vpc_security_group_ingress_rule.distribution,
    aws_vpc_security_group_egress_rule.all,
  ]
}
