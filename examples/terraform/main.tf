# The stack of a release, from Terraform: the zips and the template go to a bucket, from
# where CloudFormation takes them. Verify the release first (docs/release.md).

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "release" {
  description = "Folder of the release."
  type        = string
}

variable "architecture" {
  description = "arm64 or amd64: which of the templates, and of the zips."
  type        = string
  default     = "arm64"
}

variable "bucket" {
  description = "Bucket in the stack's region that CloudFormation may read with your credentials."
  type        = string
}

locals {
  zips   = fileset(var.release, "*_linux_${var.architecture}.zip")
  prefix = "segura-enable/${filesha256("${var.release}/SHA256SUMS")}"
  template = replace(
    file("${var.release}/template-${var.architecture}.yaml"),
    "CodeUri: segura-enable-",
    "CodeUri: s3://${var.bucket}/${local.prefix}/segura-enable-"
  )
}

resource "aws_s3_object" "zip" {
  for_each = local.zips

  bucket = var.bucket
  key    = "${local.prefix}/${each.value}"
  source = "${var.release}/${each.value}"
}

resource "aws_s3_object" "template" {
  bucket  = var.bucket
  key     = "${local.prefix}/template-${var.architecture}.yaml"
  content = local.template
}

resource "aws_cloudformation_stack" "segura_enable" {
  name         = "segura-enable"
  template_url = "https://${var.bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  depends_on   = [aws_s3_object.zip]

  # No credential of Segura's belongs here: they go into the AWS secret, whose ARN is an output.
  parameters = {
    ApiCallers         = "arn:aws:iam::123456789012:role/operations"
    AllowedIdentifiers = "5,7,100-199"
    AlarmEmail         = "operations@example.com"
  }
}

output "api_url" {
  value = aws_cloudformation_stack.segura_enable.outputs["ApiUrl"]
}

output "secret_arn" {
  value = aws_cloudformation_stack.segura_enable.outputs["SecretArn"]
}
