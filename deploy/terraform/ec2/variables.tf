variable "name" {
  description = "The name of the auto scaling group, and the beginning of other names."
  type        = string
  default     = "peerl"
}

variable "vpc_id" {
  description = "The VPC. Its DNS host names have to be enabled, since nodes are named after them."
  type        = string
}

variable "subnet_ids" {
  description = "The subnets of the workers. They need a route to the AWS API, and to the pages that are fetched."
  type        = list(string)
}

variable "image_id" {
  description = "The image of this release."
  type        = string
}

variable "release" {
  description = "The release, as the image has it in its tag csrelease. Nodes of different releases do not mix."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.release))
    error_message = "A release has letters, digits, dots, dashes and underscores."
  }
}

variable "instance_type" {
  description = "The type of the instances."
  type        = string
  default     = "c7i.large"
}

variable "min_size" {
  description = "The least number of workers."
  type        = number
  default     = 2
}

variable "max_size" {
  description = "The largest number of workers."
  type        = number
  default     = 6
}

variable "cookie_parameter" {
  description = "The name of the SSM parameter (SecureString) that holds the cookie."
  type        = string
  default     = "/peerl/cookie"

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.cookie_parameter))
    error_message = "A parameter's name is a path that begins with a slash."
  }
}

variable "tls_node_parameter" {
  description = "The name of the SSM parameter (SecureString) that holds the certificate and the key of all nodes, in PEM form, for a cluster whose nodes connect by TLS. Without one, they do not."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._/-]+)?$", var.tls_node_parameter))
    error_message = "A parameter's name is a path that begins with a slash."
  }
}

variable "tls_ca_parameter" {
  description = "The name of the SSM parameter that holds the certificates of the cluster's authorities, in PEM form."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._/-]+)?$", var.tls_ca_parameter))
    error_message = "A parameter's name is a path that begins with a slash."
  }
}

variable "tls_server_name" {
  description = "The name in the certificate of all nodes."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9.-]*$", var.tls_server_name))
    error_message = "A name has letters, digits, dots and dashes."
  }
}

variable "drain_seconds" {
  description = "How long calls under way may take when an instance is terminated."
  type        = number
  default     = 30

  validation {
    condition     = var.drain_seconds >= 1 && var.drain_seconds <= 7000
    error_message = "An instance can be held for two hours at most."
  }
}

variable "session_manager" {
  description = "Whether Session Manager of SSM may open shells and run commands on the instances."
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

variable "page_token_parameter" {
  description = "The name of the SSM parameter (SecureString) that holds the token with which visitors log in."
  type        = string
  default     = "/peerl/page-token"

  validation {
    condition     = can(regex("^/[A-Za-z0-9._/-]+$", var.page_token_parameter))
    error_message = "A parameter's name is a path that begins with a slash."
  }
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
  description = "The subnets of the load balancer, in two availability zones at least, if they are not those of the workers."
  type        = list(string)
  default     = []
}
