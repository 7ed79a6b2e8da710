# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
#
# Commands of Vivado that do nothing but print their names and arguments, separated by tabs. Those
# that find objects return their names. Any other command of Vivado is unknown, and an error.

proc record {args} {
    puts [join $args \t]
}

foreach name {
    create_project close_project add_files update_compile_order update_ip_catalog create_bd_design
    create_bd_cell apply_bd_automation set_property connect_bd_intf_net connect_bd_net
    assign_bd_address save_bd_design validate_bd_design make_wrapper launch_runs open_run
    report_timing_summary report_utilization ipx::package_project ipx::create_xgui_files
    ipx::update_checksums ipx::save_core
} {
    namespace eval [namespace qualifiers ::$name] {}
    proc ::$name args "record $name {*}\$args"
}

foreach name {
    get_bd_pins get_bd_intf_pins get_bd_cells get_files get_filesets get_runs current_project
    current_fileset get_timing_paths ipx::current_core
} {
    proc ::$name args "return \[join \[list $name {*}\$args\] :\]"
}

# get_ipdefs -all -filter "NAME == axi_dma"
proc get_ipdefs {args} {
    return [lindex [lindex $args end] end]
}

proc get_property {name object} {
    switch $name {
        VLNV { return xilinx.com:ip:$object:1.0 }
        PROGRESS { return "100%" }
        SLACK { return $::env(SLACK) }
        default { error "get_property $name" }
    }
}

# Leaves what an implementation leaves.
proc wait_on_run {run} {
    global here
    foreach path {
        project/dhq_zynq.runs/impl_1/system_wrapper.bit
        project/dhq_zynq.gen/sources_1/bd/system/hw_handoff/system.hwh
    } {
        file mkdir [file dirname [file join $here $path]]
        close [open [file join $here $path] w]
    }
}

source [lindex $argv 0]
