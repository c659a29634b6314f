# An account with rules of its own: a network that is there, tags, a bound on roles, budgets that others keep.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "in_an_existing_network" {
  command = plan

  variables {
    alarm_email              = "team@example.org"
    vpc_id                   = "vpc-0123456789abcdef0"
    subnet_ids               = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    assign_public_ip         = false
    tags                     = { owner = "anaesthesia", cost-center = "4711" }
    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
    budget_usd               = null
    airflow_host             = true
  }

  assert {
    condition = sum([
      for one in [
        aws_vpc.tasks, aws_internet_gateway.tasks, aws_route_table.tasks, aws_route.internet, aws_vpc_endpoint.s3,
        aws_default_security_group.unused, values(aws_subnet.tasks), values(aws_route_table_association.tasks),
      ] : length(one)
    ]) == 0
    error_message = "Nothing of a network is made where one is named."
  }
  assert {
    condition     = alltrue([for group in concat([aws_security_group.tasks], values(aws_security_group.airflow)) : group.vpc_id == var.vpc_id])
    error_message = "Security groups belong to the existing network."
  }
  assert {
    condition = (
      output.environment.VITALPREP_ECS_SUBNETS == "subnet-0123456789abcdef0,subnet-0123456789abcdef1" &&
      output.environment.VITALPREP_ECS_ASSIGN_PUBLIC_IP == "false"
    )
    error_message = "Tasks start in the subnets that are named, without a public address."
  }
  assert {
    condition = (
      aws_instance.airflow["airflow"].subnet_id == "subnet-0123456789abcdef0" &&
      !aws_instance.airflow["airflow"].associate_public_ip_address
    )
    error_message = "So does the host."
  }
  assert {
    condition     = alltrue([for role in aws_iam_role.vitalprep : role.permissions_boundary == var.permissions_boundary_arn])
    error_message = "Every role is bounded."
  }
  assert {
    condition     = local.tags == { project = "vitalprep", owner = "anaesthesia", cost-center = "4711" }
    error_message = "What is asked for stands beside the project's own tag."
  }
  assert {
    condition     = output.environment.VITALPREP_SAGEMAKER_TAGS == "cost-center=4711,owner=anaesthesia,project=vitalprep"
    error_message = "SageMaker's jobs, which Terraform does not make, are told the tags."
  }
  assert {
    condition     = aws_instance.airflow["airflow"].root_block_device[0].tags == tomap(local.tags)
    error_message = "The host's volume has the tags, too."
  }
  assert {
    condition     = length(aws_batch_job_queue.tasks) + length(aws_batch_job_definition.tasks) == 0 && !contains(local.grants.airflow, "run_jobs")
    error_message = "Nothing of Batch where it is not asked for."
  }
  assert {
    condition     = length(aws_budgets_budget.monthly) == 0
    error_message = "No budget where none is asked for."
  }
}

run "the_project_s_tag_can_be_replaced" {
  command = plan

  variables {
    alarm_email = "team@example.org"
    tags        = { project = "P-4711" }
  }

  assert {
    condition     = local.tags == { project = "P-4711" }
    error_message = "An account's own meaning of `project` counts."
  }
}
