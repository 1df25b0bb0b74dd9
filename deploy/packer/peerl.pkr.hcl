# Bakes an image with peerl for a release: Amazon Linux 2023, the RPM, and the release in /etc/peerl/release and in the
# tag csrelease.
#
#   packer init deploy/packer
#   packer build -var region=$AWS_REGION -var release=$RELEASE -var package=PACKAGE.rpm deploy/packer

packer {
  required_version = ">= 1.10"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3"
    }
  }
}

variable "release" {
  description = "The release. Only instances of the same release find each other."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.release))
    error_message = "A release has letters, digits, dots, dashes and underscores."
  }
}

variable "package" {
  description = "The RPM, as deploy/build-packages makes it."
  type        = string
}

variable "region" {
  description = "The region in which the image is made: the one of the group that is started from it."
  type        = string
}

variable "architecture" {
  description = "The architecture of the package: x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

variable "instance_type" {
  description = "The type of the instance that builds the image."
  type        = string
  default     = "t3.small"
}

variable "subnet_id" {
  description = "The subnet of the instance that builds the image; one of the default VPC if it is not said."
  type        = string
  default     = null
}

source "amazon-ebs" "worker" {
  region        = var.region
  instance_type = var.instance_type
  subnet_id     = var.subnet_id
  ssh_username  = "ec2-user"
  ami_name      = "peerl-${var.release}-${var.architecture}-{{timestamp}}"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters = {
      name                = "al2023-ami-2023.*-kernel-*-${var.architecture}"
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # Both the instance that builds, and all that are started from the image, speak version 2 of the metadata service.
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 8
    encrypted             = true
    delete_on_termination = true
  }

  tags = {
    Name      = "peerl-${var.release}"
    csrelease = var.release
    base      = "{{ .SourceAMIName }}"
  }
  run_tags = {
    Name = "packer-peerl-${var.release}"
  }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/peerl.rpm"
  }

  provisioner "shell" {
    inline_shebang = "/bin/bash -euo pipefail"
    inline = [
      "sudo dnf --assumeyes upgrade",
      "sudo dnf --assumeyes install /tmp/peerl.rpm",
      "rm /tmp/peerl.rpm",
      # What the scripts of the instance need.
      "command -v curl",
      "command -v aws",
      "echo '${var.release}' | sudo tee /etc/peerl/release",
      # Started by the user data of an instance, when the cookie is there.
      "sudo systemctl disable peerl-worker.service peerl-lifecycle.service",
      "/usr/bin/peerl --version",
      "sudo cloud-init clean --logs",
    ]
  }

  post-processor "manifest" {
    output     = "packer-manifest.json"
    strip_path = true
    custom_data = {
      release = var.release
    }
  }
}
