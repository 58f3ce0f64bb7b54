// Command septet-cni connects pods to their node's network.
package main

func main() {}
