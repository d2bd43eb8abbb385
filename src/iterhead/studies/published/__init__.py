"""The published study (section 5 of the paper): a module for each topic, with its cells, drawings and claims."""
