# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
#
# Packages the design of this folder as an IP in ip/: vivado -mode batch -source package_ip.tcl
#
# Vivado copies sources to other places, so $readmemh gets whole paths, in copies below ip_sources/.
# The folder must stay where it is, or this be run again.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]

file mkdir [file join $here ip_sources]
set copies [list]
foreach name $SOURCES {
    set channel [open [file join $here $name]]
    set text [read $channel]
    close $channel
    set copy [file join $here ip_sources $name]
    set channel [open $copy w]
    puts -nonewline $channel [string map [list "\"./" "\"$here/"] $text]
    close $channel
    lappend copies $copy
}

create_project -force -part $PART dhq_package [file join $here ip_project]
add_files -norecurse $copies
set_property file_type SystemVerilog [get_files -filter {NAME =~ *.sv}]
set_property verilog_define SYNTHESIS [current_fileset]
set_property top $TOP [current_fileset]
update_compile_order -fileset sources_1

# Streams, clock and reset are found by the names and attributes of the ports.
ipx::package_project -root_dir [file join $here ip] -vendor dhq_brevitas -library dhq \
    -taxonomy /UserIP -import_files -force
set core [ipx::current_core]
set_property name $TOP $core
set_property version 1.0 $core
set_property display_name "dhq_brevitas accelerator" $core
set_property ipi_drc {ignore_freq_hz true} $core
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::save_core $core
close_project
