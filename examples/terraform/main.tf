# Makes the stack of a packaged template. See ../README.md.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "Name of the stack."
  type        = string
  default     = "aurora-sync"
}

variable "bucket" {
  description = "Bucket to which the programs were packaged. The template goes there too."
  type        = string
}

variable "template" {
  description = "File that `aws cloudformation package` has written."
  type        = string
}

variable "policy" {
  description = "stack-policy.json of the release."
  type        = string
}

variable "parameters" {
  description = "Parameters of the template: docs/reference/parameters.md."
  type        = map(string)
  default     = {}
}

# CloudFormation takes a template of this size from S3 only. A template that changed has another key.
resource "aws_s3_object" "template" {
  bucket = var.bucket
  key    = "${var.name}/${filemd5(var.template)}.yaml"
  source = var.template
}

resource "aws_cloudformation_stack" "this" {
  name         = var.name
  template_url = "https://${var.bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters   = var.parameters
  policy_body  = file(var.policy)

  timeouts {
    # A new cluster takes ten minutes, the migrations up to fifteen.
    create = "60m"
    update = "60m"
  }
}

output "api_url" {
  value = aws_cloudformation_stack.this.outputs["ApiUrl"]
}
