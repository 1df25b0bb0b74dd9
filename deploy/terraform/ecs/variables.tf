variable "name" {
  description = "The name of the service, and the beginning of other names."
  type        = string
  default     = "peerl"
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "The subnets of the tasks. They need a route to the AWS API, to the image, and to the pages that are fetched."
  type        = list(string)
}

variable "cluster" {
  description = "The name of the ECS cluster."
  type        = string
}

variable "image" {
  description = "The image, by its digest or a tag that is never moved."
  type        = string
}

variable "release" {
  description = "The release, for people and for the tag csrelease."
  type        = string
}

variable "cookie_secret_arn" {
  description = "The ARN of the secret of Secrets Manager whose text is the cookie."
  type        = string
}

variable "tls_node_secret_arn" {
  description = "The ARN of the secret whose text is the certificate and the key of all nodes, in PEM form, for a cluster whose nodes connect by TLS. Without one, they do not."
  type        = string
  default     = ""
}

variable "tls_ca_secret_arn" {
  description = "The ARN of the secret whose text is the certificates of the cluster's authorities, in PEM form."
  type        = string
  default     = ""
}

variable "tls_server_name" {
  description = "The name in the certificate of all nodes."
  type        = string
  default     = ""
}

variable "discovery" {
  description = "ecs: running tasks of this service that run the same revision, so that releases do not mix. cloudmap: all instances that are registered in Cloud Map."
  type        = string
  default     = "ecs"

  validation {
    condition     = contains(["ecs", "cloudmap"], var.discovery)
    error_message = "Tasks are found by ecs or by cloudmap."
  }
}

variable "namespace" {
  description = "The private DNS name space that is made for the service."
  type        = string
  default     = "peerl.internal"
}

variable "desired_count" {
  description = "The number of workers."
  type        = number
  default     = 2
}

variable "cpu" {
  description = "The CPU units of a task."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "The memory of a task in MiB."
  type        = number
  default     = 2048
}

variable "cpu_architecture" {
  description = "The architecture of the image: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
}

variable "drain_seconds" {
  description = "How long calls under way may take when a task is stopped."
  type        = number
  default     = 30

  validation {
    condition     = var.drain_seconds >= 1 && var.drain_seconds <= 110
    error_message = "Fargate waits two minutes at most for a task to end."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks get public addresses, which they need in subnets that have no NAT gateway."
  type        = bool
  default     = false
}

variable "page_url" {
  description = "The address of the web page, https://NAME. Without one, there is no page and no load balancer."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(https://[A-Za-z0-9.-]+)?$", var.page_url))
    error_message = "The page is served with TLS only, since visitors send their token: https://NAME."
  }
}

variable "page_certificate_arn" {
  description = "The certificate of that name, in ACM."
  type        = string
  default     = null
}

variable "page_token_secret_arn" {
  description = "The ARN of the secret of Secrets Manager whose text is the token with which visitors log in."
  type        = string
  default     = null
}

variable "page_visitors" {
  description = "The addresses from which the page can be reached."
  type        = string
  default     = "10.0.0.0/8"
}

variable "page_scheme" {
  description = "Whether the load balancer of the page has addresses of the VPC (internal) or of the Internet (internet-facing)."
  type        = string
  default     = "internal"

  validation {
    condition     = contains(["internal", "internet-facing"], var.page_scheme)
    error_message = "A load balancer is internal or internet-facing."
  }
}

variable "page_subnet_ids" {
  description = "The subnets of the load balancer, in two availability zones at least, if they are not those of the tasks."
  type        = list(string)
  default     = []
}
